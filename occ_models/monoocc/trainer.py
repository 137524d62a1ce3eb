"""MonoOcc's training: depth and proposals, the privileged teacher, the student (section III-C)."""

from operator import attrgetter
from pathlib import Path

from ..checkpoint import load_checkpoint
from ..config import ConfigError, MonoOccConfig, load_config
from ..data import FrameDataset, check_files
from ..phases import PhaseTrainer, say
from ..training import Task
from .model import MonoOcc
from .tasks import DepthTask, OccupancyTask
from .teacher_features import cache_features


class Trainer(PhaseTrainer):
    """Phases depth, teacher, student.

    Teacher and student start with what the depth phase has learnt, as far as their parts are alike. Where weights to
    start from are given, they take its place.
    """

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        self.teacher_config = self._teacher_config()
        # What cannot be used is told now, and not when the phases before are done.
        backbone = self.recipe.teacher_backbone
        if backbone and not Path(backbone).is_file():
            raise ConfigError(f"teacher_backbone: {backbone}: no such file")
        if self.initial:
            load_checkpoint(self.initial, self.config)
        past = any(config and max(config.views) > 0 for config in (self.config, self.teacher_config))
        check_files(self.labelled, self.image_labels, past)
        check_files(self.held_out, None, past)
        self.validation = self.data(self.held_out, "none", None)
        self.keep_settings()

    def choose_phases(self) -> tuple[str, ...]:
        return tuple(phase for phase in self.recipe.phases if not (self.initial and phase == "depth"))

    @property
    def image_labels(self) -> str | None:
        """Where the classes of the training images come from; None where nothing asks for them."""
        return None if self.recipe.semantic_2d == "none" else self.recipe.semantic_2d

    def _teacher_config(self) -> MonoOccConfig | None:
        """The privileged network's configuration. Raises ConfigError where its features have another form."""
        if not self.recipe.teacher:
            return None
        teacher, student = load_config(self.recipe.teacher, MonoOccConfig), self.config
        alike = ["channels", "preprocess.grid", "preprocess.lifting_factor"]
        if self.recipe.teacher_features == "online":  # both look at the same tensors
            alike += ["preprocess.image_size", "preprocess.mean", "preprocess.std", "image_stride"]
            if teacher.views[: len(student.views)] != student.views:
                raise ConfigError(
                    f"teacher {teacher.name}: views are {teacher.views}; expected the student's, {student.views}, first"
                )
        for name in alike:
            its, wanted = (attrgetter(name)(config) for config in (teacher, student))
            if its != wanted:
                raise ConfigError(f"teacher {teacher.name}: {name} is {its}, the student's {wanted}; they must agree")
        return teacher

    def _depth(self) -> None:
        def task() -> Task:
            model = MonoOcc(self.config)
            return DepthTask(self.placed(model), self.recipe.training, self.recipe.depth_steps)

        self.fit("depth", task, self.data(self.labelled, "camera", None))

    def _teacher(self) -> None:
        recipe, config = self.recipe, self.teacher_config

        def task() -> Task:
            model = MonoOcc(config)
            if recipe.teacher_backbone:
                from .internimage import load_public

                say(load_public(model.encoder, recipe.teacher_backbone))
            self._take_first_stage(model)
            return OccupancyTask(self.placed(model), recipe.training, recipe.teacher_steps, True, recipe.unseen)

        # Its image labels are never withheld: what is measured is what the student gains.
        data = self.data(self.labelled, "camera", self.image_labels or "points", config)
        self.fit("teacher", task, data, self.data(self.held_out, "none", None, config))

    def _student(self) -> None:
        recipe = self.recipe
        teacher, data = self._taught() if recipe.teacher else (None, self._student_data())

        def task() -> Task:
            if self.initial:
                model = load_checkpoint(self.initial, self.config)
            else:
                model = MonoOcc(self.config)
                self._take_first_stage(model)
            return OccupancyTask(
                self.placed(model), recipe.training, recipe.student_steps, self.image_labels is not None,
                recipe.unseen, teacher, recipe.temperature,
            )  # fmt: skip

        self.fit("student", task, data)

    def _student_data(self, config: MonoOccConfig | None = None) -> FrameDataset:
        return self.data(self.labelled, "camera", self.image_labels, config)

    def _taught(self) -> tuple[MonoOcc | str, FrameDataset]:
        """The teacher, or word that its features are cached, and frames that serve both."""
        folder = self.complete("teacher")
        teacher = load_checkpoint(folder)
        if self.recipe.teacher_features == "online":
            return teacher, self._student_data(self.teacher_config)
        plain = self.data(self.labelled, "none", None, self.teacher_config)
        frames = cache_features(teacher, plain, folder / "features")
        return "cached", self.data(frames, "appearance", self.image_labels)

    def _take_first_stage(self, model: MonoOcc) -> None:
        """Backbone, depth head and proposals from the phase before, each where the two networks have the same."""
        source = load_checkpoint(self.initial or self.complete("depth"))
        for name in ("encoder", "depth", "proposals"):
            part, trained = getattr(model, name), getattr(source, name).state_dict()
            if {k: v.shape for k, v in part.state_dict().items()} == {k: v.shape for k, v in trained.items()}:
                part.load_state_dict(trained)
            else:
                say(f"{name}: {model.config.name} has another than {source.config.name}; it starts afresh")
