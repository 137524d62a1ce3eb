"""MonoOcc's training: depth and proposals, the privileged teacher, the student (section III-C)."""

from dataclasses import asdict
from functools import partial
from operator import attrgetter
from pathlib import Path

from occ_data.kitti import DepthFolder

from ..augmentation import APPEARANCE, CAMERA, NONE, with_still_scene
from ..config import ConfigError, load_config
from ..data import FrameDataset, earlier
from ..frames import Frame, check_frames, check_shares, frames_of
from ..layers.backbone import ImageBackbone
from ..phases import Phase, TrainingRun, log, placed
from ..pretrained import check_file, load_public
from ..recipe import augmented, steps_of
from ..training import Task
from ..weights import CONFIG, load_weights
from .config import MonoOccConfig
from .internimage import InternImage
from .model import MonoOcc
from .recipe import MonoOccRecipe
from .tasks import FIRST_STAGE_TERMS, DepthTask, OccupancyLosses, OccupancyTask, first_stage
from .teacher_features import cache_features, check_room

AUGMENTATIONS = {"scene": CAMERA, "appearance": APPEARANCE, "none": NONE}


class MonoOccTraining:
    """Phases depth, teacher, student.

    Teacher and student start with the weights of the depth phase, where their parts have the same shapes. Weights to
    start from, where they are given, replace that phase. Where the student takes cached features, the scene stays as it
    is.

    Raises ConfigError for a teacher that does not fit, or initial weights; DataError where a file is missing.
    """

    def __init__(self, run: TrainingRun):
        recipe = run.recipe
        self.run, self.recipe, self.augmentation = run, recipe, augmented(AUGMENTATIONS[recipe.augment], recipe)
        self.loss_weights = asdict(recipe.loss_weights)
        self.teacher_config = teacher_config(run.config, recipe)
        if recipe.first_stage == "frozen":
            check_first_stage(run.config, self.teacher_config)
        self.labelled = [f for f in frames_of(run.train, recipe.share, recipe.training.seed) if f.labelled]
        held_out = [frame for frame in frames_of(run.validation) if frame.labelled]
        # Refused before any phase is trained, not when the phase that needs it begins.
        check_file("backbone", recipe.backbone, run.initial)
        check_file("teacher_backbone", recipe.teacher_backbone, None)
        if run.initial:
            load_weights(MonoOcc(run.config), run.initial)
        past = any(config and max(config.views) > 0 for config in (run.config, self.teacher_config))
        check_shares(run.train, recipe.training.shares)
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
        frames = len(self.labelled)
        every = (
            Phase(
                "depth", self._depth_data, self._depth_task, self.validation, frames, self._steps("depth"),
                {name: self.loss_weights[name] for name in FIRST_STAGE_TERMS},
            ),
            Phase(
                "teacher", self._teacher_data, self._teacher_task, self.teacher_validation, frames,
                self._steps("teacher"), self._losses().weights(), config=self.teacher_config,
            ),
            Phase(
                "student", self._student_data, self._student_task, self.validation, frames, self._steps("student"),
                self._student_losses().weights(),
            ),
        )  # fmt: skip
        skipped = {"depth"} if self.run.initial else set()
        return [phase for phase in every if phase.name in self.recipe.phases and phase.name not in skipped]

    def _steps(self, phase: str) -> int:
        return steps_of(self.recipe, phase, len(self.labelled))

    def _depth_data(self) -> FrameDataset:
        return self.dataset(self.labelled, self.augmentation)

    def _depth_task(self) -> Task:
        recipe, model = self.recipe, MonoOcc(self.run.config)
        if recipe.backbone:
            (part,) = (part for part in backbones(model) if part in first_stage(model).values())
            log(f"backbone: {load_public(part, recipe.backbone)}")
        model = placed(model, recipe.training)
        used = recipe.occupied_weight, self.loss_weights
        return _tuned(DepthTask(model, recipe.training, self._steps("depth"), *used), recipe.backbone)

    def _teacher_data(self) -> FrameDataset:
        # Its image labels are never withheld: the comparison is about what the student gains.
        labels = self.recipe.image_label_source or "points"
        return self.dataset(self.labelled, self.augmentation, labels, self.teacher_config)

    def _teacher_task(self) -> Task:
        recipe, model = self.recipe, MonoOcc(self.teacher_config)
        if recipe.teacher_backbone:
            log(f"teacher_backbone: {load_public(model.encoder, recipe.teacher_backbone)}")
        model = placed(self._with_first_stage(model, recipe.teacher_backbone), recipe.training)
        task = OccupancyTask(model, recipe.training, self._steps("teacher"), self._losses())
        return _tuned(task, recipe.teacher_backbone)

    def _losses(self, **student) -> OccupancyLosses:
        """What teacher and student are trained with, and what only the student is."""
        recipe = self.recipe
        return OccupancyLosses(
            image_class_weights=recipe.image_class_weights,
            voxels=recipe.voxel_loss,
            affinity_mass=recipe.affinity_mass,
            first_stage=recipe.first_stage == "trained",
            occupied_weight=recipe.occupied_weight,
            unseen=recipe.unseen,
            loss_weights=self.loss_weights,
            **student,
        )

    def _student_losses(self) -> OccupancyLosses:
        recipe = self.recipe
        return self._losses(
            semantic_2d=recipe.image_label_source is not None,
            distill=bool(recipe.teacher),
            temperature=recipe.temperature,
        )

    def _student_data(self) -> FrameDataset:
        labels = self.recipe.image_label_source
        if not self.recipe.teacher:
            return self.dataset(self.labelled, self.augmentation, labels)
        if self.recipe.teacher_features == "online":
            return self.dataset(self.labelled, self.augmentation, labels, self.teacher_config)
        plain = self.dataset(self.labelled, NONE, config=self.teacher_config)
        frames = cache_features(self._teacher(), plain, self._features_folder)
        return self.dataset(frames, with_still_scene(self.augmentation), labels)

    def _student_task(self) -> Task:
        recipe, model = self.recipe, MonoOcc(self.run.config)
        if self.run.initial:
            model = load_weights(model, self.run.initial)
        else:
            model = self._with_first_stage(model)
            if recipe.backbone and model.encoder not in first_stage(model).values():
                log(f"backbone: {load_public(model.encoder, recipe.backbone)}")
        teacher = self._teacher() if recipe.teacher and recipe.teacher_features == "online" else None
        model, used = placed(model, recipe.training), self._student_losses()
        task = OccupancyTask(model, recipe.training, self._steps("student"), used, teacher)
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
        """Put what the depth phase has trained into the network, where it has the same shapes.

        public : file with the weights that its backbone keeps, if any
        """
        folder = self.run.initial or self.run.weights_of("depth")
        source = load_weights(MonoOcc(load_config(folder / CONFIG, MonoOccConfig)), folder)
        parts, learnt = first_stage(model), first_stage(source)
        if public and "encoder" in parts:
            log(f"encoder: {model.config.name} keeps the weights of {public}, and takes none of {folder}")
            del parts["encoder"]
        for name, part in parts.items():
            trained = learnt[name].state_dict() if name in learnt else {}
            if {k: v.shape for k, v in part.state_dict().items()} == {k: v.shape for k, v in trained.items()}:
                part.load_state_dict(trained)
            else:
                log(f"{name}: {model.config.name} has another than {source.config.name}; it starts with fresh weights")
        return model


def check_first_stage(student: MonoOccConfig, teacher: MonoOccConfig | None) -> None:
    """Raise ConfigError where depth and proposals cannot be frozen: the backbone that they take goes on learning, or
    the teacher's have another form than the student's, with which they are trained.
    """
    alike = ("image", "depth_bins", "depth_width", "proposal_widths")
    for config in filter(None, (student, teacher)):
        if config.depth_encoder != "own":
            raise ConfigError(f"first_stage: frozen needs depth_encoder: own; {config.name} has {config.depth_encoder}")
        for name in alike:
            its, wanted = getattr(config, name), getattr(student, name)
            if its != wanted:
                raise ConfigError(
                    f"first_stage: frozen needs the same in teacher and student; {name} of {config.name} is {its}, the "
                    f"student's {wanted}"
                )


def _tuned(task: Task, public: str) -> Task:
    """The task with the recipe's settings of backbones, where its network's are public ones; an InternImage, as in the
    paper, is trained whole.
    """
    return task.tune(*(part for part in backbones(task.model) if not isinstance(part, InternImage))) if public else task


def backbones(model: MonoOcc) -> tuple[ImageBackbone, ...]:
    """The image backbone, and that of the depth head where it has its own."""
    return (model.encoder, model.depth_encoder) if model.config.depth_encoder == "own" else (model.encoder,)


def teacher_config(student: MonoOccConfig, recipe: MonoOccRecipe) -> MonoOccConfig | None:
    """The privileged network's configuration, None where the recipe has none.

    Raises ConfigError where its features, or the inputs that both share, have another form than the student's.
    """
    if not recipe.teacher:
        return None
    teacher = load_config(recipe.teacher, MonoOccConfig)
    alike = ["channels", "preprocess.grid", "preprocess.lifting_factor"]
    if recipe.teacher_features == "online":  # both take the same tensors
        alike += ["preprocess.image_size", "preprocess.mean", "preprocess.std", "image_stride", "header_upsampling"]
        if teacher.views[: len(student.views)] != student.views:
            raise ConfigError(
                f"teacher {teacher.name}: views are {teacher.views}; expected the student's, {student.views}, first"
            )
    for name in alike:
        its, wanted = (attrgetter(name)(config) for config in (teacher, student))
        if its != wanted:
            raise ConfigError(f"teacher {teacher.name}: {name} is {its}, the student's {wanted}; they must agree")
    return teacher
