import contextlib
import threading
import time
from types import SimpleNamespace

import pytest
import torch
from ignite.engine import Events
from monai.data import DataLoader, ThreadDataLoader
from torch import nn
from torch.utils.data import default_collate

from uniseg_nets.data import Claims, FaultTolerantDataset
from uniseg_nets.engines import AutocastInferer, CaseEvaluator, PrepareTaskBatch
from uniseg_nets.io.errors import CasesFailedError, ClaimLostError


def evaluator(names, transform, postprocessing=None, network=None, handlers=None):
    dataset = FaultTolerantDataset([{"name": name} for name in names], transform)
    return CaseEvaluator(
        device=torch.device("cpu"),
        val_data_loader=DataLoader(dataset, batch_size=1),
        network=network or nn.Identity(),
        postprocessing=postprocessing,
        val_handlers=handlers,
    )


def read(case):
    if case["name"].startswith("bad"):
        raise ValueError("broken file")
    return case | {"image": torch.zeros(1, 2, 2, 2)}


def test_a_bad_case_does_not_end_the_run_and_is_named_at_its_end():
    done = []

    def export(case):
        if case["name"] == "full":
            raise OSError("disk is full")
        done.append(case["name"])
        return case

    run = evaluator(["bad", "good", "full", "also_good"], read, export)
    with pytest.raises(CasesFailedError, match="2 of 4 cases failed") as error:
        run.run()
    assert done == ["good", "also_good"]
    assert run.with_label_map == set()
    assert error.value.failures == {"bad": "broken file", "full": "disk is full"}
    assert "bad: broken file" in str(error.value)


def test_a_case_is_exported_while_the_next_one_is_predicted():
    predicted, exported, in_time = threading.Semaphore(0), [], []

    class Network(nn.Identity):
        def forward(self, x):
            predicted.release()
            return x

    def export(case):
        predicted.acquire()  # its own prediction
        if case["name"] != "last":
            in_time.append(predicted.acquire(timeout=20))  # the next one's, which must not wait for this export
            predicted.release()
        exported.append((case["name"], float(case["image"].max()), float(case["pred"].max())))
        return case

    class AtTheEnd:
        def attach(self, engine):
            engine.add_event_handler(Events.COMPLETED, lambda: exported.append(dict(engine.failures)))

    def numbered(case):
        return case | {"image": torch.full((1, 2, 2, 2), float(len(case["name"])))}

    evaluator(["a", "bb", "last"], numbered, export, Network(), [AtTheEnd()]).run()
    assert in_time == [True, True]
    assert exported == [("a", 1.0, 1.0), ("bb", 2.0, 2.0), ("last", 4.0, 4.0), {}]


def test_large_scores_are_exported_before_the_next_case(monkeypatch):
    monkeypatch.setattr("uniseg_nets.engines._LARGE", 31)  # those of 2 x 2 x 2 voxels take 32 bytes
    order = []

    class Network(nn.Identity):
        def forward(self, x):
            order.append("predicted")
            return x

    def export(case):
        time.sleep(0.05)
        order.append("exported")
        return case

    evaluator(["one", "two"], read, export, Network()).run()
    assert order == ["predicted", "exported"] * 2


def test_a_last_case_that_cannot_be_exported_is_named():
    def export(case):
        if case["name"] == "last":
            raise OSError("disk is full")
        return case

    with pytest.raises(CasesFailedError, match="1 of 2 cases failed") as error:
        evaluator(["first", "last"], read, export).run()
    assert error.value.failures == {"last": "disk is full"}


def test_a_run_without_faults_ends_quietly(caplog):
    caplog.set_level("INFO")
    evaluator(["a", "b"], read).run()
    first, last = (record.message for record in caplog.records if record.message.startswith("case "))
    assert "left" in first and "left" not in last


def test_a_run_s_handlers_see_what_its_review_finds():
    seen = {}
    run = evaluator(["a", "b"], read)
    run.review = lambda: {"b": "check", "earlier": "check"}
    run.add_event_handler(Events.COMPLETED, lambda: seen.update(run.failures))
    with pytest.raises(CasesFailedError, match="2 of 3 cases failed"):
        run.run()
    assert seen == {"b": "check", "earlier": "check"} and set(run.seconds) == {"a", "b"}
    assert run.with_label_map == {"b", "earlier"}


def test_a_case_whose_export_alone_fails_is_a_failure_with_a_label_map():
    def export(case):
        raise OSError("disk is full")

    run = evaluator(["a", "bad"], read)
    run.exports = [export]
    with pytest.raises(CasesFailedError, match="2 of 2 cases failed"):
        run.run()
    assert run.with_label_map == {"a"}


def test_a_case_that_is_exported_and_reviewed_counts_once():
    def export(case):
        """Makes nothing."""

    export.pending = lambda: [{"name": "earlier"}]
    run = evaluator(["a", "b"], read)
    run.exports, run.review = [export], lambda: {"earlier": "check"}
    with pytest.raises(CasesFailedError, match="1 of 3 cases failed"):
        run.run()


def test_claims_are_given_up_after_the_last_export():
    events = []

    class Shared(contextlib.nullcontext):
        check = staticmethod(lambda: None)
        release = staticmethod(lambda name, failed: events.append(f"{name} released"))
        __exit__ = staticmethod(lambda *_: events.append("given up"))

    class Network(nn.Identity):
        calls = 0

        def forward(self, x):
            self.calls += 1
            if self.calls == 2:
                raise KeyboardInterrupt
            return x

    def export(case):
        time.sleep(0.2)
        events.append(f"{case['name']} exported")
        return case

    run = evaluator(["a", "b"], read, export, Network())
    run.claims = Shared()
    with pytest.raises(KeyboardInterrupt):
        run.run()
    assert events == ["a exported", "a released", "given up"]


@pytest.fixture
def sharing(tmp_path):
    """Makes the claims of a process that shares the folder of results."""

    def targets(case):
        return (tmp_path / f"{case['name']}.nii.gz",)

    saver = SimpleNamespace(output_dir=tmp_path, targets=targets, is_finished=lambda case: targets(case)[0].exists())
    return lambda: Claims(saver, expiry=2)


def shared(claims, names, export):
    dataset = FaultTolerantDataset([{"name": name} for name in names], read, claims)
    return CaseEvaluator(
        device=torch.device("cpu"),
        val_data_loader=ThreadDataLoader(dataset, batch_size=1),
        network=nn.Identity(),
        postprocessing=export,
        claims=claims,
    )


@pytest.mark.filterwarnings("ignore::pytest.PytestUnhandledThreadExceptionWarning")
def test_a_process_that_loses_its_claims_while_it_waits_for_another_one_says_so(sharing):
    claims, other = sharing(), sharing()
    other.begin([{"name": "held"}])

    def export(case):
        claims._heartbeat.unlink()  # others took this process for dead
        return case

    with other:
        other.next()
        with pytest.raises(ClaimLostError, match="others took over its cases"):
            shared(claims, ["own", "held"], export).run()


def test_a_process_that_loses_its_claims_after_the_last_case_has_done_its_part(sharing):
    claims, exported = sharing(), []

    def export(case):
        claims._heartbeat.unlink()
        exported.append(case["name"])
        return case

    shared(claims, ["only"], export).run()
    assert exported == ["only"]


def test_a_case_s_seconds_are_those_of_its_prediction_and_export():
    def export(case):
        time.sleep(0.3 if case["name"] == "slow" else 0)
        return case

    run, begun = evaluator(["slow", "quick"], read, export), time.perf_counter()
    run.run()
    assert 0.3 <= run.seconds["slow"] <= time.perf_counter() - begun + 0.1 and run.seconds["quick"] >= 0


def test_nothing_left_to_do_is_no_error(caplog):
    caplog.set_level("INFO")
    run, completed = evaluator([], read), []
    run.add_event_handler(Events.COMPLETED, lambda: completed.append(True))  # the log, which may name older failures
    run.run()
    assert "no case is left" in caplog.text and completed


def test_the_batch_s_tasks_reach_network_and_loss_as_ids(table):
    batch = {"image": torch.zeros(2, 1, 4, 4, 4), "label": torch.zeros(2, 1, 4, 4, 4), "task": ["spleen", "liver"]}
    image, target, args, kwargs = PrepareTaskBatch(table)(batch)
    assert args[0].tolist() == target["task"].tolist() == [6, 0] and kwargs == {}
    assert image.shape == target["label"].shape == (2, 1, 4, 4, 4)


def test_ids_reach_the_network_as_names_do(table):
    cases = [{"image": torch.zeros(1, 4, 4, 4), "label": torch.zeros(1, 4, 4, 4), "task": id} for id in (6, 0)]
    _, target, args, _ = PrepareTaskBatch(table)(default_collate(cases))
    assert args[0].tolist() == target["task"].tolist() == [6, 0]


def test_an_autocast_around_the_forward_pass_stays_in_force():
    with torch.autocast("cpu", torch.bfloat16):
        assert AutocastInferer(False)(torch.randn(1, 1, 2, 2, 2), nn.Conv3d(1, 2, 1)).dtype == torch.bfloat16


@pytest.mark.parametrize(("bfloat16", "dtype"), [(True, torch.bfloat16), (False, torch.float32)])
def test_the_forward_pass_runs_in_the_precision_asked_for(bfloat16, dtype):
    network = nn.Conv3d(1, 2, 1)
    output = AutocastInferer(bfloat16)(torch.randn(1, 1, 2, 2, 2), network)
    assert output.dtype == dtype
    output.float().sum().backward()
    assert network.weight.grad.dtype == torch.float32


def test_a_loader_that_stops_early_is_no_finished_run():
    class Short(DataLoader):
        def __iter__(self):
            yield next(super().__iter__())

    run = evaluator(["one", "two", "three"], read)
    run.data_loader = Short(run.data_loader.dataset, batch_size=1)
    with pytest.raises(RuntimeError, match="2 of 3 cases were never read"):
        run.run()
