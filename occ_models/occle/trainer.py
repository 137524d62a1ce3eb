"""OccLE's training from the first phase to the last (section 3.5.2, algorithm 1)."""

from collections.abc import Callable
from functools import partial

from ..augmentation import NONE, AugmentationConfig
from ..config import map_shape
from ..data import FrameDataset
from ..frames import Frame, check_frames, frames_of
from ..phases import Phase, TrainingRun, log, placed
from ..pretrained import check_file, load_public
from ..training import Task
from ..weights import load_weights
from .augmentation import STUDENT, SUPERVISED, TEACHER
from .geometry_labels import label_geometry, read_thresholds
from .model import OccLE
from .projection import Projection
from .tasks import GeometricTask, JointLosses, JointTask, SemanticTask


class OccLETraining:
    """Phases semantic, teacher, student, joint; each starts from the weights of the one before it.

    change_model : applied to each network before it is trained, so that experiments can replace parts of it

    Raises DataError where a file that the training needs is missing.
    """

    def __init__(self, run: TrainingRun, change_model: Callable[[OccLE], OccLE] = lambda model: model):
        recipe = run.recipe
        self.run, self.recipe, self.change_model = run, recipe, change_model
        self.public = {"semantic": recipe.semantic_backbone, "geometric": recipe.geometric_backbone}
        for branch, path in self.public.items():
            check_file(f"{branch}_backbone", path, run.initial)
        self.frames = frames_of(run.train, recipe.share, recipe.training.seed, recipe.unlabelled_every)
        self.labelled = [frame for frame in self.frames if frame.labelled]
        # Where every frame has labels, a teacher has nothing to add: no student.
        complete = len(self.labelled) == len(self.frames)
        self.names = [name for name in recipe.phases if not (complete and name == "student")]

        held_out = [frame for frame in frames_of(run.validation) if frame.labelled]
        # The semantic branch is measured against the labels of points, whatever it is trained on.
        measured = "points" if "semantic" in self.names else None
        past = run.config.frames > 1
        check_frames(self.frames, recipe.image_label_source, past)
        check_frames(held_out, measured, past)
        self.validation = run.dataset(held_out, image_labels=measured)

    def phases(self) -> list[Phase]:
        """The phases that this recipe has on these frames, in their order."""
        every = (
            Phase("semantic", self._semantic_data, self._semantic_task, self.validation),
            Phase("teacher", self._teacher_data, partial(self._geometric_task, "teacher"), self.validation),
            Phase("student", self._student_data, partial(self._geometric_task, "student"), self.validation),
            Phase("joint", self._joint_data, self._joint_task, self.validation),
        )
        return [phase for phase in every if phase.name in self.names]

    def _semantic_data(self) -> FrameDataset:
        return self.run.dataset(self.frames, SUPERVISED, self.recipe.image_label_source)

    def _semantic_task(self) -> Task:
        model = self._network("semantic")
        return self._tuned(SemanticTask(model, self.recipe.training, self.recipe.semantic_steps))

    def _teacher_data(self) -> FrameDataset:
        return self.run.dataset(self.labelled, TEACHER)

    def _student_data(self) -> FrameDataset:
        return self._with_teacher_labels(STUDENT[self.recipe.strength])

    def _geometric_task(self, phase: str) -> Task:
        steps = {"teacher": self.recipe.teacher_steps, "student": self.recipe.student_steps}[phase]
        freeze = "semantic" in self.names
        return self._tuned(
            GeometricTask(self._network(phase), self.recipe.training, steps, freeze_voxel_features=freeze)
        )

    def _joint_data(self) -> FrameDataset:
        labels = self.recipe.image_label_source
        if self.recipe.geometric_loss == "pretrain+joint" and "student" in self.names:
            return self._with_teacher_labels(SUPERVISED, labels)
        return self.run.dataset(self._joint_frames(), SUPERVISED, labels)

    def _joint_frames(self) -> list[Frame]:
        """All frames; only the labelled ones where neither image labels nor the teacher's are used."""
        unlabelled_used = self.recipe.image_label_source or self.recipe.geometric_loss == "pretrain+joint"
        return self.frames if unlabelled_used else self.labelled

    def _joint_task(self) -> Task:
        recipe, config, labelled = self.recipe, self.run.config, len(self.labelled)
        model, projection = self._network("joint"), None
        if recipe.projection != "none":
            grid = config.preprocess.grid.coarsen(config.preprocess.lifting_factor)
            projection = Projection(config.channels, grid, map_shape(config), recipe.projection == "distance")
        used = JointLosses(
            # Labelled and unlabelled frames take turns where there are both (`Draws`).
            labelled=0.0 if not labelled else 1.0 if labelled == len(self._joint_frames()) else 0.5,
            semantic=recipe.semantic_loss != "none",
            geometric=labelled > 0 and recipe.geometric_loss in ("pretrain+joint", "joint"),
            projection=projection,
            freeze_geometric=labelled > 0 and recipe.geometric_loss == "pretrain",
        )
        return self._tuned(JointTask(model, recipe.training, recipe.joint_steps, used))

    def _with_teacher_labels(self, augmentation: AugmentationConfig, image_labels: str | None = None) -> FrameDataset:
        """All frames, those without labels with the teacher's."""
        folder = self.run.weights_of("teacher")
        teacher = load_weights(OccLE(self.run.config), folder)
        plain = self.run.dataset(self.frames, NONE)
        frames = label_geometry(teacher, plain, folder / "labels", self.recipe.tau, self.recipe.keep)
        return self.run.dataset(frames, augmentation, image_labels, thresholds=read_thresholds(folder / "labels"))

    def _network(self, phase: str) -> OccLE:
        """A network to train: with the weights of the phase before it, or those to start from, or fresh."""
        model, place = OccLE(self.run.config), self.names.index(phase)
        start = self.run.weights_of(self.names[place - 1]) if place else self.run.initial
        if start:
            model = load_weights(model, start)
        else:
            for branch, path in self.public.items():
                if path:
                    log(f"{branch}_backbone: {load_public(model.backbones[branch], path)}")
        return self.change_model(placed(model, self.recipe.training))

    def _tuned(self, task: Task) -> Task:
        return task.tune(*(task.model.backbones[branch] for branch, path in self.public.items() if path))
