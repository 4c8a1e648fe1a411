"""Trainings that are stopped, resumed and extended, without a bundle around them."""

from functools import partial

import pytest
import torch
from ignite.engine import Events
from ignite.metrics import Metric
from monai.data import DataLoader, Dataset
from monai.engines import SupervisedEvaluator, SupervisedTrainer
from monai.handlers import LrScheduleHandler
from torch import nn

from uniseg_nets.handlers import RegularValidation, ResumableCheckpoint, WeightFiles
from uniseg_nets.schedules import PolynomialDecay


class Told(Metric):
    """A figure per validation, in the order given."""

    def __init__(self, figures):
        self.figures = iter(figures)
        super().__init__()

    def reset(self):
        pass

    def update(self, output):
        pass

    def compute(self):
        return next(self.figures)


class Stopped(Exception):
    pass


class Scaled:
    """Gives the trainer a scaler as mixed precision on a GPU does."""

    def __init__(self, scale):
        self.scale = scale

    def attach(self, engine):
        engine.add_event_handler(Events.STARTED, self, engine)

    def __call__(self, engine):
        engine.scaler = self.scale and torch.amp.GradScaler("cpu", init_scale=self.scale)


class Training:
    """Two steps per epoch of a network whose dropout draws random numbers."""

    def __init__(
        self,
        folder,
        epochs,
        figures=(),
        val_cases=1,
        validate=1,
        rate=1e-3,
        seed=0,
        kind=torch.optim.SGD,
        scale=0,
        **more,
    ):
        torch.manual_seed(seed)
        self.folder = folder
        self.network = nn.Sequential(nn.Linear(4, 4), nn.Dropout(0.5), nn.Linear(4, 1))
        self.optimizer = kind(self.network.parameters(), rate)
        schedule = PolynomialDecay(self.optimizer, epochs, 2)
        data = [{"image": torch.arange(4.0) + index, "label": torch.ones(1)} for index in range(4)]
        settings = {"device": torch.device("cpu"), "network": self.network}
        self.validator = SupervisedEvaluator(
            val_data_loader=DataLoader(Dataset(data[:val_cases])), key_val_metric={"figure": Told(figures)}, **settings
        )
        objects = {"model": self.network, "optimizer": self.optimizer, "schedule": schedule}
        handlers = [
            Scaled(scale or None),
            LrScheduleHandler(schedule, print_lr=False, epoch_level=False),
            RegularValidation(self.validator, validate),
            WeightFiles(self.network, self.validator, folder / "model.pt", folder / "model_final.pt"),
            ResumableCheckpoint(folder, objects, self.validator, **more),
        ]
        self.engine = SupervisedTrainer(
            max_epochs=epochs,
            train_data_loader=DataLoader(Dataset(data), batch_size=2),
            optimizer=self.optimizer,
            loss_function=nn.MSELoss(),
            train_handlers=handlers,
            **settings,
        )
        self.rates = []
        self.engine.add_event_handler(Events.ITERATION_STARTED, self._note_the_rate)

    def _note_the_rate(self):
        self.rates.append(self.optimizer.param_groups[0]["lr"])

    def run(self, stop=None):
        """Runs; ``stop`` is the epoch in whose middle the training is killed."""
        if stop:
            self.engine.add_event_handler(Events.ITERATION_STARTED(once=2 * stop), self._stop)
            with pytest.raises(Stopped):
                self.engine.run()
        else:
            self.engine.run()
        return self

    def _stop(self):
        raise Stopped

    @property
    def weights(self):
        return self.network.state_dict()


def saved(path):
    return torch.load(path, weights_only=True)


def same(one, other):
    return one.keys() == other.keys() and all(torch.equal(tensor, other[name]) for name, tensor in one.items())


def names(folder):
    return sorted(path.name for path in folder.glob("*.pt"))


def test_a_stopped_training_resumes_to_the_same_weights_bit_for_bit(tmp_path):
    whole = Training(tmp_path / "whole", 4, [0] * 9).run()
    Training(tmp_path / "broken", 4, [0] * 9).run(stop=3)
    resumed = Training(tmp_path / "broken", 4, [0] * 9, resume=True, seed=1).run()
    assert resumed.engine.state.epoch == 4 and resumed.engine.state.iteration == 8
    assert same(resumed.weights, whole.weights)
    other = Training(tmp_path / "other", 4, [0] * 9, seed=1).run()
    assert not same(other.weights, whole.weights)  # there is randomness that must be kept


def test_an_extended_training_goes_on_with_the_longer_schedule_s_rate(tmp_path):
    first = Training(tmp_path, 4, [0] * 9).run()
    second = Training(tmp_path, 8, [0] * 9, resume=True).run()
    assert first.rates == pytest.approx([1e-3 * (1 - step / 8) ** 0.9 for step in range(8)])
    assert second.rates == pytest.approx([1e-3 * (1 - step / 16) ** 0.9 for step in range(8, 16)])


def test_a_training_resumed_with_another_learning_rate_and_momentum_uses_them(tmp_path):
    Training(tmp_path, 4, [0] * 9).run(stop=3)
    resumed = Training(tmp_path, 4, [0] * 9, rate=5e-3, kind=partial(torch.optim.SGD, momentum=0.5), resume=True).run()
    assert resumed.optimizer.param_groups[0]["momentum"] == 0.5
    assert resumed.rates == pytest.approx([5e-3 * (1 - step / 8) ** 0.9 for step in range(4, 8)])


def test_a_resumed_training_does_not_replace_better_weights_by_worse_ones(tmp_path):
    Training(tmp_path, 4, [0.2, 0.9, 0.3]).run(stop=4)
    best = (tmp_path / "model.pt").read_bytes()
    resumed = Training(tmp_path, 5, [0.5, 0.6], resume=True, seed=1).run()
    assert (tmp_path / "model.pt").read_bytes() == best
    assert resumed.validator.state.best_metric == 0.9 and resumed.validator.state.best_metric_epoch == 2
    better = Training(tmp_path, 6, [0.95], resume=True).run()
    assert same(saved(tmp_path / "model.pt"), better.weights)


def test_the_last_epoch_is_validated_and_saved_whatever_the_interval(tmp_path):
    training = Training(tmp_path, 3, [0.5], validate=10).run()
    assert training.validator.state.best_metric_epoch == 3
    assert same(saved(tmp_path / "model.pt"), training.weights)
    assert same(saved(tmp_path / "model_final.pt"), training.weights)


def test_an_epoch_that_is_regular_and_the_last_is_validated_once(tmp_path):
    training = Training(tmp_path, 4, [0.5, 0.6], validate=2).run()  # a third figure would be an error
    assert training.validator.state.best_metric_epoch == 4


def test_the_best_weights_are_those_of_the_best_validation_and_the_final_ones_the_last(tmp_path):
    training = Training(tmp_path, 3, [0.5, 0.9, 0.7], keep=3).run()
    assert same(saved(tmp_path / "model.pt"), saved(tmp_path / "checkpoint_epoch=2.pt")["model"])
    assert same(saved(tmp_path / "model_final.pt"), training.weights)


def test_without_validation_cases_the_last_weights_are_the_model(tmp_path, caplog):
    caplog.set_level("INFO")
    training = Training(tmp_path, 2, val_cases=0).run()
    assert same(saved(tmp_path / "model.pt"), training.weights)
    assert "no validation cases" in caplog.text


def test_best_weights_that_cannot_be_written_leave_the_older_ones(tmp_path, monkeypatch):
    Training(tmp_path, 4, [0.5, 0.6]).run(stop=3)
    before = (tmp_path / "model.pt").read_bytes()

    def half(state, path):
        path.write_bytes(b"half")
        raise OSError("disk is full")

    monkeypatch.setattr(torch, "save", half)
    with pytest.raises(OSError, match="disk is full"):
        Training(tmp_path, 4, [0.9, 0.9], resume=True).run()
    assert (tmp_path / "model.pt").read_bytes() == before


def test_after_eleven_epochs_the_two_newest_checkpoints_are_kept(tmp_path):
    Training(tmp_path, 11, [0] * 11).run()
    assert names(tmp_path) == ["checkpoint_epoch=10.pt", "checkpoint_epoch=11.pt", "model.pt", "model_final.pt"]
    assert Training(tmp_path, 12, [0], resume=True).run().engine.state.epoch == 12
    assert names(tmp_path)[:2] == ["checkpoint_epoch=11.pt", "checkpoint_epoch=12.pt"]


def test_a_damaged_checkpoint_is_passed_over(tmp_path, caplog):
    Training(tmp_path, 4, [0] * 4).run()
    newest = tmp_path / "checkpoint_epoch=4.pt"
    newest.write_bytes(newest.read_bytes()[:200])
    caplog.set_level("INFO")
    Training(tmp_path, 5, [0] * 5, resume=True).run()
    assert "checkpoint_epoch=4.pt cannot be read" in caplog.text and "resuming after epoch 3" in caplog.text


def test_what_is_saved_after_damaged_checkpoints_is_kept(tmp_path, caplog):
    """They have higher numbers than the epochs of the training that starts anew, and are no reason to delete these."""
    Training(tmp_path, 4, [0] * 4).run()
    for damaged in tmp_path.glob("checkpoint_*"):
        damaged.write_bytes(b"damaged")
    Training(tmp_path, 4, [0] * 4, resume=True).run(stop=3)
    caplog.set_level("INFO")
    Training(tmp_path, 4, [0] * 4, resume=True).run()
    assert "resuming after epoch 2" in caplog.text
    assert names(tmp_path)[:2] == ["checkpoint_epoch=3.pt", "checkpoint_epoch=4.pt"]


def test_without_a_checkpoint_resume_starts_from_the_beginning(tmp_path, caplog):
    Training(tmp_path, 1, [0], resume=True).run()
    assert "nothing to resume from" in caplog.text


def test_a_new_training_does_not_touch_the_folder_of_an_older_one(tmp_path):
    Training(tmp_path, 3, [0] * 3).run()
    before = {path.name: path.read_bytes() for path in tmp_path.iterdir()}
    with pytest.raises(ValueError, match=r"checkpoint_epoch=3.pt is of an earlier training: go on with it by --resume"):
        Training(tmp_path, 1, [0]).run()
    assert {path.name: path.read_bytes() for path in tmp_path.iterdir()} == before


def test_a_second_run_of_the_same_trainer_is_no_new_training(tmp_path):
    """Federated learning runs one trainer round by round."""
    training = Training(tmp_path, 1, [0] * 2).run()
    training.engine.state.max_epochs = 2
    training.engine.run()
    assert names(tmp_path)[:2] == ["checkpoint_epoch=1.pt", "checkpoint_epoch=2.pt"]


def test_no_interval_no_checkpoints(tmp_path):
    for _ in range(2):
        Training(tmp_path, 1, [0], interval=0, resume=True).run()
    assert names(tmp_path) == ["model.pt", "model_final.pt"]


def test_the_scale_of_mixed_precision_is_resumed_and_may_come_or_go(tmp_path):
    Training(tmp_path, 1, [0], scale=3.0).run()
    scaled = Training(tmp_path, 2, [0], scale=5.0, resume=True).run()
    assert scaled.engine.scaler.get_scale() == 3.0
    assert Training(tmp_path, 3, [0], resume=True).run().engine.state.epoch == 3
    again = Training(tmp_path, 4, [0], scale=7.0, resume=True).run()
    assert again.engine.state.epoch == 4 and again.engine.scaler.get_scale() == 7.0


def test_a_checkpoint_of_another_optimiser_or_version_is_refused_in_words(tmp_path):
    Training(tmp_path, 1, [0]).run()
    with pytest.raises(ValueError, match="does not fit this training, optimizer: it holds the settings lr, momentum"):
        Training(tmp_path, 2, [0], kind=torch.optim.AdamW, resume=True).run()
    path = tmp_path / "checkpoint_epoch=1.pt"
    torch.save({key: value for key, value in saved(path).items() if key not in ("schedule", "random")}, path)
    with pytest.raises(ValueError, match="lacks schedule, random: it is of another version"):
        Training(tmp_path, 2, [0], resume=True).run()


CASES = [{"name": name, "image": f"{name}.nii"} for name in "abcd"]
ENTRY = {"name": "t", "channels": ["MR"], "spacing": [1, 1, 1], "classes": ["organ"]}


def test_a_training_is_not_resumed_where_it_holds_out_what_it_has_learnt_from(tmp_path):
    Training(tmp_path, 2, [0.5, 0.6], trained=CASES[:3], held=CASES[3:]).run()
    with pytest.raises(
        ValueError, match=r"epoch=2\.pt has learnt from 1 of the cases that this training holds out, b: "
    ):
        Training(tmp_path, 3, resume=True, trained=CASES[2:], held=CASES[1:2]).run()
    Training(tmp_path, 3, [0.7], resume=True, trained=CASES[:2], held=CASES[3:]).run()


def test_a_resumed_training_still_knows_the_cases_of_the_runs_before_it(tmp_path):
    Training(tmp_path, 2, [0.5, 0.6], trained=CASES[:2], held=CASES[3:]).run()
    Training(tmp_path, 4, [0.7, 0.8], resume=True, trained=CASES[2:3], held=CASES[3:]).run()
    with pytest.raises(ValueError, match=r"epoch=4\.pt has learnt from 2 of the cases that .* holds out, a, b: "):
        Training(tmp_path, 5, resume=True, trained=CASES[2:3], held=CASES[:2]).run()


def test_cases_of_one_name_are_told_apart_by_their_images(tmp_path):
    cases = [{"name": "imaging", "image": f"{name}/imaging.nii.gz"} for name in "abcd"]
    Training(tmp_path, 2, [0.5, 0.6], trained=cases[:2]).run()
    Training(tmp_path, 3, [0.7], resume=True, trained=cases[:2], held=cases[2:]).run()
    with pytest.raises(ValueError, match=r"learnt from 1 of the cases that .* holds out, b/imaging\.nii\.gz: "):
        Training(tmp_path, 4, resume=True, trained=cases[:1], held=cases[1:2]).run()


def test_a_training_is_not_resumed_with_another_task(tmp_path):
    Training(tmp_path, 2, [0.5, 0.6], task=ENTRY).run()
    with pytest.raises(ValueError, match=r"is of a training with spacing \[1.*, not \[2.*: resume with the plan"):
        Training(tmp_path, 3, resume=True, task=ENTRY | {"spacing": [2, 1, 1]}).run()
    Training(tmp_path, 3, [0.7], resume=True, task=ENTRY | {"name": "renamed"}).run()


def test_a_checkpoint_that_names_no_cases_is_resumed_as_before(tmp_path):
    Training(tmp_path, 2, [0.5, 0.6], task=ENTRY, trained=CASES).run()
    for path in tmp_path.glob("checkpoint_epoch=*.pt"):
        state = torch.load(path, weights_only=True)
        torch.save({key: value for key, value in state.items() if key not in ("cases", "task")}, path)
    Training(tmp_path, 3, [0.7], resume=True, held=CASES, task=ENTRY | {"spacing": [2, 1, 1]}).run()


def test_a_checkpoint_that_cannot_be_written_is_named_and_the_earlier_ones_stay(tmp_path, monkeypatch):
    Training(tmp_path, 1, [0.5]).run()

    def full(*_):
        raise RuntimeError("[enforce fail at inline_container.cc:672] . unexpected pos 64 vs 0")

    training = Training(tmp_path, 2, [0.4], resume=True)  # no better: no weights are due
    monkeypatch.setattr(torch, "save", full)
    with pytest.raises(OSError, match=r"checkpoint_epoch=2\.pt cannot be written, \d+ MiB are free there: make room"):
        training.run()
    assert [path.name for path in tmp_path.glob("checkpoint_epoch=*.pt")] == ["checkpoint_epoch=1.pt"]
