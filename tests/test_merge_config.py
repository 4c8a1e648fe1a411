"""One config file of several, for tools that take no more than one."""

import json

import pytest
import yaml
from monai.bundle import ConfigParser, ConfigWorkflow
from monai.fl.client import MonaiAlgo
from monai.fl.utils.exchange_object import ExchangeObject

from tests.test_federation import TINY, write_plan
from uniseg_nets.bundle.run import merge_configs
from uniseg_nets.cli import command
from uniseg_nets.io.bundles import bundle_folder

FILES = ["train.json", "open.json", "evaluate.json"]


def parsed(files):
    return ConfigWorkflow([str(file) for file in files], workflow_type="train", logging_file=False).parser


@pytest.mark.parametrize("name", ["merged.json", "merged.yaml"])
def test_a_merged_config_is_what_a_run_of_the_files_reads(bundle, copy, capsys, monkeypatch, name):
    target = copy / "configs" / name
    monkeypatch.setattr("sys.argv", ["uniseg", "merge-config", *FILES, str(target), "--bundle", "uniseg_upstream"])
    command.main()
    assert f"wrote {target}" in capsys.readouterr().out
    wanted, found = parsed(bundle / "configs" / file for file in FILES), parsed([target])
    assert found.get() == wanted.get()
    assert found["displayable_configs"]["task"][-1] == "sarcoma" and found["validate"] == wanted["validate"]
    networks = [parser.get_parsed_content("network_def").state_dict() for parser in (wanted, found)]
    assert {key: value.shape for key, value in networks[0].items()} == {k: v.shape for k, v in networks[1].items()}
    assert networks[0]["task_prompts.universal"].shape[1] == 5


def test_a_federation_s_client_evaluates_with_one_merged_file(tmp_path):
    root = bundle_folder("uniseg_finetune")
    merged = merge_configs(tmp_path / "merged.json", ["train.json", write_plan(tmp_path), "evaluate.json"], root)
    own = {"dataset_dir": str(tmp_path), "output_dir": str(tmp_path / "out"), "weights": None, **TINY}
    client = MonaiAlgo(str(root), config_train_filename=None, config_evaluate_filename=str(merged), eval_kwargs=own)
    client.initialize()
    state = client.eval_workflow.parser.get_parsed_content("network_def").state_dict()
    assert set(client.evaluate(ExchangeObject(weights=state)).metrics) == {"val_mean_dice"}


def test_later_files_replace_and_a_plus_extends_as_in_monai(tmp_path):
    (tmp_path / "a.json").write_text('{"a": {"b": 1, "c": 2}, "list": [1]}')
    (tmp_path / "b.yaml").write_text(yaml.safe_dump({"a#b": 3, "+list": [2]}))
    target = merge_configs(tmp_path / "new" / "c.json", [tmp_path / "a.json", tmp_path / "b.yaml"])
    assert json.loads(target.read_text()) == {"a": {"b": 3, "c": 2}, "list": [1, 2]}
    assert ConfigParser.load_config_files(str(target)) == json.loads(target.read_text())


@pytest.mark.parametrize(
    ("target", "files", "message"),
    [
        ("c.json", [], "no configs to merge: name them in order"),
        ("c.txt", ["a.json"], r"written as .json, .yaml or .yml, not as c.txt"),
        ("a.json", ["b.json"], "a.json exists already: choose another name"),
        ("c.json", ["a.json", "gone.json"], "no config .*gone.json"),
        ("c.json", ["a.json", "broken.json"], "broken.json is no JSON"),
        ("c.json", ["a.json", "b.json"], "b.json cannot be merged as a config: KeyError"),
    ],
)
def test_what_cannot_be_merged_is_named_and_nothing_is_written(tmp_path, target, files, message):
    contents = {"a.json": '{"a": 1}', "b.json": '{"nowhere#b": 3}', "broken.json": "{"}
    for name, content in contents.items():
        (tmp_path / name).write_text(content)
    with pytest.raises((ValueError, FileNotFoundError), match=message):
        merge_configs(tmp_path / target, [tmp_path / file for file in files])
    assert {path.name: path.read_text() for path in tmp_path.iterdir()} == contents
