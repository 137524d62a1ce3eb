"""OccLE's training from the first phase to the last (section 3.5.2, algorithm 1)."""

from functools import partial

from ..checkpoint import load_checkpoint
from ..data import Frame, FrameDataset, check_files, frames_of
from ..phases import PhaseTrainer
from ..training import Task
from .geometry_labels import label_geometry, read_thresholds
from .model import OccLE
from .projection import Projection
from .tasks import GeometricTask, JointTask, SemanticTask


class Trainer(PhaseTrainer):
    """Phases semantic, teacher, student, joint; each starts from the weights of the one before it."""

    def __init__(self, *arguments, **named):
        super().__init__(*arguments, **named)
        # The semantic branch is measured against the labels of points, whatever it learns from.
        measured = "points" if "semantic" in self.phases else None
        check_files(self.frames, self.image_labels, self.config.frames > 1)
        check_files(self.held_out, measured, self.config.frames > 1)
        self.validation = self.data(self.held_out, "none", measured)
        self.keep_settings()

    def choose_frames(self, folders: list[str]) -> list[Frame]:
        return frames_of(folders, self.recipe.share, self.recipe.training.seed, self.recipe.unlabelled_every)

    def choose_phases(self) -> tuple[str, ...]:
        # Where every frame has labels, a teacher has nothing to add: no student.
        whole = len(self.labelled) == len(self.frames)
        return tuple(phase for phase in self.recipe.phases if not (whole and phase == "student"))

    @property
    def image_labels(self) -> str | None:
        """Where the classes of the training images come from; None where nothing asks for them."""
        asked = self.recipe.semantic != "none" or self.recipe.projection != "none"
        return self.recipe.image_labels if asked else None

    def _semantic(self) -> None:
        def task() -> Task:
            return SemanticTask(self.network("semantic"), self.recipe.training, self.recipe.semantic_steps)

        self.fit("semantic", task, self.data(self.frames, "supervised", self.image_labels))

    def _teacher(self) -> None:
        data = self.data(self.labelled, "teacher", None)
        self.fit("teacher", partial(self._geometric_task, "teacher", self.recipe.teacher_steps), data)

    def _student(self) -> None:
        data = self._taught(self.recipe.strength)
        self.fit("student", partial(self._geometric_task, "student", self.recipe.student_steps), data)

    def _geometric_task(self, phase: str, steps: int) -> Task:
        return GeometricTask(self.network(phase), self.recipe.training, steps, "semantic" in self.phases)

    def _joint(self) -> None:
        recipe, labelled = self.recipe, len(self.labelled)
        # Frames without labels teach nothing where neither image labels nor the teacher's are used.
        frames = self.frames if self.image_labels or recipe.geometric == "teacher" else self.labelled
        if recipe.geometric == "teacher" and "student" in self.phases:
            data = self._taught("supervised", self.image_labels)
        else:
            data = self.data(frames, "supervised", self.image_labels)
        # Labelled and unlabelled frames take turns where there are both (`Draws`).
        draws = 0.0 if not labelled else 1.0 if labelled == len(frames) else 0.5
        geometric = {"frozen": "frozen", "teacher": "taught", "joint": "taught", "none": "free"}[recipe.geometric]
        geometric = geometric if labelled else "free"

        def task() -> Task:
            model, projection = self.network("joint"), None
            if recipe.projection != "none":
                by_distance = recipe.projection == "distance"
                projection = Projection(self.config.channels, data.coarse, data.map_shape, by_distance)
            semantic = recipe.semantic != "none"
            return JointTask(model, recipe.training, recipe.joint_steps, semantic, geometric, projection, draws)

        self.fit("joint", task, data)

    def _taught(self, level: str, image_labels: str | None = None) -> FrameDataset:
        """All frames, those without labels with the teacher's."""
        teacher, plain = load_checkpoint(self.complete("teacher")), self.data(self.frames, "none", None)
        folder = self.output / "teacher" / "labels"
        frames = label_geometry(teacher, plain, folder, self.recipe.tau, self.recipe.keep)
        return self.data(frames, level, image_labels, thresholds=read_thresholds(folder))

    def network(self, phase: str) -> OccLE:
        """A network to train, with the weights of the phase before, or those to start from, or fresh."""
        place = self.phases.index(phase)
        start = self.complete(self.phases[place - 1]) if place else self.initial
        return self.placed(load_checkpoint(start, self.config) if start else OccLE(self.config))
