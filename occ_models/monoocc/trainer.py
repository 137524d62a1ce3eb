"""MonoOcc's training: depth and proposals, the privileged teacher, the student (section III-C)."""

from functools import partial
from operator import attrgetter
from pathlib import Path

from occ_data.kitti import DepthFolder

from ..augmentation import APPEARANCE, CAMERA, NONE, AugmentationConfig
from ..config import ConfigError, load_config
from ..data import FrameDataset, earlier
from ..frames import Frame, check_frames, frames_of
from ..phases import Phase, TrainingRun, log, placed
from ..pretrained import check_file, load_public
from ..training import Task
from ..weights import CONFIG, load_weights
from .config import MonoOccConfig
from .model import MonoOcc
from .recipe import MonoOccRecipe
from .tasks import DepthTask, OccupancyLosses, OccupancyTask
from .teacher_features import cache_features, check_room


class MonoOccTraining:
    """Phases depth, teacher, student.

    Teacher and student start with the weights of the depth phase, where their parts have the same shapes. Weights to
    start from, where they are given, replace that phase.

    augmentation : of every phase that does not use cached features

    Raises ConfigError for a teacher that does not fit, or initial weights; DataError where a file is missing.
    """

    def __init__(self, run: TrainingRun, augmentation: AugmentationConfig = CAMERA):
        recipe = run.recipe
        self.run, self.recipe, self.augmentation = run, recipe, augmentation
        self.teacher_config = teacher_config(run.config, recipe)
        self.labelled = [f for f in frames_of(run.train, recipe.share, recipe.training.seed) if f.labelled]
        held_out = [frame for frame in frames_of(run.validation) if frame.labelled]
        # Refused before any phase is trained, not when the phase that needs it begins.
        check_file("backbone", recipe.backbone, run.initial)
        check_file("teacher_backbone", recipe.teacher_backbone, None)
        if run.initial:
            load_weights(MonoOcc(run.config), run.initial)
        past = any(config and max(config.views) > 0 for config in (run.config, self.teacher_config))
        check_frames(self.labelled, recipe.image_label_source, past)
        check_frames(held_out, None, past)
        self.depths = DepthFolder(recipe.depths) if recipe.depths else None
        if self.depths:
            self._check_depths([*self.labelled, *held_out])
        if "teacher" in recipe.phases and recipe.teacher_features == "cached":
            # Said, and refused, before the teacher is trained.
            check_room(self.teacher_config, self.labelled, self._features_folder)
        self.dataset = partial(run.dataset, depths=self.depths)
        self.validation = self.dataset(held_out)
        self.teacher_validation = self.dataset(held_out, config=self.teacher_config)

    def phases(self) -> list[Phase]:
        """The phases that this recipe has, in their order."""
        every = (
            Phase("depth", self._depth_data, self._depth_task, self.validation),
            Phase("teacher", self._teacher_data, self._teacher_task, self.teacher_validation),
            Phase("student", self._student_data, self._student_task, self.validation),
        )
        skipped = {"depth"} if self.run.initial else set()
        return [phase for phase in every if phase.name in self.recipe.phases and phase.name not in skipped]

    def _depth_data(self) -> FrameDataset:
        return self.dataset(self.labelled, self.augmentation)

    def _depth_task(self) -> Task:
        recipe, model = self.recipe, MonoOcc(self.run.config)
        if recipe.backbone:
            log(f"backbone: {load_public(model.encoder, recipe.backbone)}")
        task = DepthTask(placed(model, recipe.training), recipe.training, recipe.depth_steps)
        return _tuned(task, recipe.backbone)

    def _teacher_data(self) -> FrameDataset:
        # Its image labels are never withheld: the comparison is about what the student gains.
        labels = self.recipe.image_label_source or "points"
        return self.dataset(self.labelled, self.augmentation, labels, self.teacher_config)

    def _teacher_task(self) -> Task:
        recipe, model = self.recipe, MonoOcc(self.teacher_config)
        if recipe.teacher_backbone:
            log(f"teacher_backbone: {load_public(model.encoder, recipe.teacher_backbone)}")
        model = placed(self._with_first_stage(model, recipe.teacher_backbone), recipe.training)
        used = OccupancyLosses(unseen=recipe.unseen)
        task = OccupancyTask(model, recipe.training, recipe.teacher_steps, used)
        return _tuned(task, recipe.teacher_backbone)

    def _student_data(self) -> FrameDataset:
        labels = self.recipe.image_label_source
        if not self.recipe.teacher:
            return self.dataset(self.labelled, self.augmentation, labels)
        if self.recipe.teacher_features == "online":
            return self.dataset(self.labelled, self.augmentation, labels, self.teacher_config)
        plain = self.dataset(self.labelled, NONE, config=self.teacher_config)
        frames = cache_features(self._teacher(), plain, self._features_folder)
        return self.dataset(frames, APPEARANCE, labels)

    def _student_task(self) -> Task:
        recipe, model = self.recipe, MonoOcc(self.run.config)
        if self.run.initial:
            model = load_weights(model, self.run.initial)
        else:
            model = self._with_first_stage(model)
        used = OccupancyLosses(
            semantic_2d=recipe.image_label_source is not None,
            unseen=recipe.unseen,
            distill=bool(recipe.teacher),
            temperature=recipe.temperature,
        )
        teacher = self._teacher() if recipe.teacher and recipe.teacher_features == "online" else None
        task = OccupancyTask(placed(model, recipe.training), recipe.training, recipe.student_steps, used, teacher)
        return _tuned(task, recipe.backbone)

    @property
    def _features_folder(self) -> Path:
        return self.run.output / "teacher" / "features"

    def _check_depths(self, frames: list[Frame]) -> None:
        """Raise DataError where a frame, or an earlier one that a network takes with it, has no depth image."""
        views = {back for config in (self.run.config, self.teacher_config) if config for back in config.views}
        for drive in {id(frame.drive): frame.drive for frame in frames}.values():
            own = [frame.id for frame in frames if frame.drive is drive]
            self.depths.check(drive, sorted({earlier(drive, frame, back) for frame in own for back in views}))

    def _teacher(self) -> MonoOcc:
        return load_weights(MonoOcc(self.teacher_config), self.run.weights_of("teacher"))

    def _with_first_stage(self, model: MonoOcc, public: str = "") -> MonoOcc:
        """Put backbone, depth head and proposals of the depth phase into the network, where they have its shapes.

        public : file with the weights that its backbone keeps, if any
        """
        folder = self.run.initial or self.run.weights_of("depth")
        source = load_weights(MonoOcc(load_config(folder / CONFIG, MonoOccConfig)), folder)
        if public:
            log(f"encoder: {model.config.name} keeps the weights of {public}, and takes none of {folder}")
        for name in ("depth", "proposals") if public else ("encoder", "depth", "proposals"):
            part, trained = getattr(model, name), getattr(source, name).state_dict()
            if {k: v.shape for k, v in part.state_dict().items()} == {k: v.shape for k, v in trained.items()}:
                part.load_state_dict(trained)
            else:
                log(f"{name}: {model.config.name} has another than {source.config.name}; it starts with fresh weights")
        return model


def _tuned(task: Task, public: str) -> Task:
    """The task with the recipe's settings of backbones, where its network's is a public one; an InternImage, as in the
    paper, is trained whole.
    """
    return task.tune(task.model.encoder) if public and not task.model.config.intern else task


def teacher_config(student: MonoOccConfig, recipe: MonoOccRecipe) -> MonoOccConfig | None:
    """The privileged network's configuration, None where the recipe has none.

    Raises ConfigError where its features, or the inputs that both share, have another form than the student's.
    """
    if not recipe.teacher:
        return None
    teacher = load_config(recipe.teacher, MonoOccConfig)
    alike = ["channels", "preprocess.grid", "preprocess.lifting_factor"]
    if recipe.teacher_features == "online":  # both take the same tensors
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
