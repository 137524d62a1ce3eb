"""OccLE's training from the first phase to the last (section 3.5.2, algorithm 1)."""

from dataclasses import asdict
from functools import partial

from ..augmentation import NONE
from ..config import map_shape
from ..data import FrameDataset
from ..frames import Frame, check_frames, check_shares, frames_of
from ..phases import Phase, TrainingRun, log, placed
from ..pretrained import check_file, load_public
from ..recipe import steps_of
from ..training import Task
from ..weights import load_parts, load_weights
from .augmentation import augmentation_of
from .geometry_labels import THRESHOLDS, confidence_thresholds, label_geometry
from .model import OccLE
from .projection import Projection
from .tasks import (
    GEOMETRIC_TERMS,
    PROJECTION_TERMS,
    SEMANTIC_TERMS,
    GeometricTask,
    JointLosses,
    JointTask,
    SemanticTask,
    weights_of,
)

PARTS = {"semantic": "semantic.", "teacher": "geometric.", "student": "geometric."}
"""What a phase trains, beside voxel features that both branches use."""


class OccLETraining:
    """Phases semantic, teacher, student, joint; each starts from the weights of the one before it.

    Raises DataError where a file that the training needs is missing.
    """

    def __init__(self, run: TrainingRun):
        recipe = run.recipe
        self.run, self.recipe = run, recipe
        self.public = {"semantic": recipe.semantic_backbone, "geometric": recipe.geometric_backbone}
        for branch, path in self.public.items():
            check_file(f"{branch}_backbone", path, run.initial)
        self.frames = frames_of(run.train, recipe.share, recipe.training.seed, recipe.unlabelled_every)
        self.labelled = [frame for frame in self.frames if frame.labelled]
        # Where every frame has labels, a teacher has nothing to add: no student.
        complete = len(self.labelled) == len(self.frames)
        self.loss_weights = asdict(recipe.loss_weights)
        self.names = [name for name in recipe.phases if not (complete and name == "student")]

        held_out = [frame for frame in frames_of(run.validation) if frame.labelled]
        # The semantic branch is measured against the labels of points, whatever it is trained on.
        measured = "points" if "semantic" in self.names else None
        past = run.config.frames > 1
        check_shares(run.train, recipe.training.shares)
        check_frames(self.frames, recipe.image_label_source, past, recipe.pseudo_table)
        check_frames(held_out, measured, past)
        self.validation = run.dataset(held_out, image_labels=measured)

    def phases(self) -> list[Phase]:
        """The phases that this recipe has on these frames, in their order."""
        data = {
            "semantic": partial(self._data, "semantic"), "teacher": partial(self._data, "teacher"),
            "student": partial(self._with_teacher_labels, "student"), "joint": self._joint_data,
        }  # fmt: skip
        tasks = {
            "semantic": self._semantic_task, "teacher": partial(self._geometric_task, "teacher"),
            "student": partial(self._geometric_task, "student"), "joint": self._joint_task,
        }  # fmt: skip
        return [
            Phase(
                name,
                data[name],
                tasks[name],
                self.validation,
                len(self._frames(name)),
                self._steps(name),
                weights_of(self._terms(name), self.loss_weights),
                self._labelled_draws(name),
            )
            for name in self.names
        ]

    def _frames(self, phase: str) -> list[Frame]:
        """The frames that a phase trains on; phase III leaves out those from which it learns nothing."""
        unlabelled_used = self.recipe.image_label_source or self.recipe.geometric_loss == "pretrain+joint"
        only_labelled = phase == "teacher" or (phase == "joint" and not unlabelled_used)
        return self.labelled if only_labelled else self.frames

    def _steps(self, phase: str) -> int:
        return steps_of(self.recipe, phase, len(self._frames(phase)))

    def _terms(self, phase: str) -> tuple[str, ...]:
        """Names of the terms of the loss."""
        projection = PROJECTION_TERMS if self.recipe.projection != "none" else ()
        terms = {"semantic": SEMANTIC_TERMS, "joint": (*self._joint_losses().terms(), *projection)}
        return terms.get(phase, GEOMETRIC_TERMS)

    def _labelled_draws(self, phase: str) -> float | None:
        """Share of the draws with voxel labels; None: every frame alike, as where all have some.

        Phase I does not look at these labels.
        """
        if phase not in ("student", "joint") or len(self.labelled) == len(self._frames(phase)):
            return None
        return self.recipe.labelled_draws or None

    def _data(self, phase: str, frames: list[Frame] | None = None, **named) -> FrameDataset:
        """Augmented frames: of the phase, unless they are given; with the image's labels where the phase uses them."""
        recipe = self.recipe
        if phase in ("semantic", "joint"):
            named |= {"image_labels": recipe.image_label_source, "lift_pixels": recipe.lifted_labels == "centre"}
        return self.run.dataset(frames or self._frames(phase), augmentation_of(recipe, phase), **named)

    def _semantic_task(self) -> Task:
        model = self._network("semantic")
        return self._tuned(SemanticTask(model, self.recipe.training, self._steps("semantic"), self.loss_weights))

    def _geometric_task(self, phase: str) -> Task:
        freeze, recipe, model = "semantic" in self.names, self.recipe, self._network(phase)
        used = freeze, self.loss_weights, recipe.occupied_weight
        return self._tuned(GeometricTask(model, recipe.training, self._steps(phase), *used))

    def _joint_data(self) -> FrameDataset:
        if self.recipe.geometric_loss == "pretrain+joint" and "student" in self.names:
            return self._with_teacher_labels("joint")
        return self._data("joint")

    def _joint_task(self) -> Task:
        recipe, config = self.recipe, self.run.config
        model, projection = self._network("joint"), None
        if recipe.projection != "none":
            grid = config.preprocess.grid.coarsen(config.preprocess.lifting_factor)
            distance, plain = recipe.projection == "distance", recipe.projection_scale == "plain"
            projection = Projection(config.channels, grid, map_shape(config), distance, plain)
        used = self._joint_losses(projection)
        return self._tuned(JointTask(model, recipe.training, self._steps("joint"), used, self.loss_weights))

    def _joint_losses(self, projection: Projection | None = None) -> JointLosses:
        recipe, labelled = self.recipe, len(self.labelled)
        share = labelled / len(self._frames("joint"))
        if 0 < share < 1:  # there are draws with and without labels
            share = recipe.labelled_draws or share
        return JointLosses(
            labelled=share if recipe.occupancy_mean == "labelled" or not labelled else 1.0,
            affinity_mass=recipe.affinity_mass,
            occupied_weight=recipe.occupied_weight,
            semantic=recipe.semantic_loss != "none",
            geometric=labelled > 0 and recipe.geometric_loss in ("pretrain+joint", "joint"),
            projection=projection,
            freeze_geometric=labelled > 0 and recipe.geometric_loss == "pretrain",
        )

    def _with_teacher_labels(self, phase: str) -> FrameDataset:
        """A phase's frames, those without labels with the teacher's."""
        folder = self.run.weights_of("teacher")
        teacher = load_weights(OccLE(self.run.config), folder)
        plain = self.run.dataset(self.frames, NONE)
        frames = label_geometry(teacher, plain, folder / "labels")
        file = self.run.output / phase / THRESHOLDS
        thresholds = confidence_thresholds(frames, file, self.recipe.tau, self.recipe.keep)
        return self._data(phase, frames, thresholds=thresholds)

    def _network(self, phase: str) -> OccLE:
        """A network to train: with the weights of the phase before it, or those to start from, or fresh."""
        model, before = OccLE(self.run.config), self.names[: self.names.index(phase)]
        if phase == "student" and self.recipe.student_start == "fresh":
            before.remove("teacher")  # phase I has not trained the geometric branch
        if before:
            # What no phase before has trained may have another form: its weights there are those of the first start.
            trained = {PARTS[name] for name in before} | {"voxel_features."}
            log(load_parts(model, self.run.weights_of(before[-1]), tuple(sorted(trained))))
        elif self.run.initial:
            model = load_weights(model, self.run.initial)
        else:
            for branch, path in self.public.items():
                if path:
                    log(f"{branch}_backbone: {load_public(model.backbones[branch], path)}")
        return placed(model, self.recipe.training)

    def _tuned(self, task: Task) -> Task:
        return task.tune(*(task.model.backbones[branch] for branch, path in self.public.items() if path))
