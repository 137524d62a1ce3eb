"""Casts rays into meshes with Embree: the static street, and what moves in it at one moment."""

from typing import NamedTuple

import numba
import numpy as np

from .shapes import Mesh

_NOTHING = 1e30
_CHUNK = 16384


def rotated(rays: np.ndarray, T_world_lidar: np.ndarray) -> np.ndarray:
    """Directions (N, 3) in the LiDAR frame, turned into the world frame, (N, 3) float32."""
    rotation = T_world_lidar[:3, :3].T.astype(np.float32)
    out = np.empty_like(rays)
    for start in range(0, len(rays), _CHUNK):  # small enough for one BLAS thread; more would spin
        np.matmul(rays[start : start + _CHUNK], rotation, out=out[start : start + _CHUNK])
    return out


class Hits(NamedTuple):
    """Nearest surface of each ray (N,); where `hit` is false the other fields are undefined.

    distance : metres; normal : (N, 3) unit, towards the ray's origin; uv : (N, 2); color : (N, 3); rest as in `Mesh`
    """

    hit: np.ndarray
    distance: np.ndarray
    normal: np.ndarray
    uv: np.ndarray
    label: np.ndarray
    instance: np.ndarray
    material: np.ndarray
    color: np.ndarray


class Caster:
    """One mesh, ready for rays."""

    def __init__(self, mesh: Mesh):
        from embreex.mesh_construction import TriangleMesh
        from embreex.rtcore_scene import EmbreeScene

        self.mesh = mesh
        self._scene = EmbreeScene()
        self._geometry = TriangleMesh(
            self._scene, np.ascontiguousarray(mesh.vertices), np.ascontiguousarray(mesh.faces)
        )

    def nearest(self, origins, directions) -> dict:
        """Embree's record of the nearest hit: primID (-1: none), tfar, Ng, u, v."""
        return self._scene.run(origins, directions, output=1, query="INTERSECT")

    def blocked(self, origins, directions) -> np.ndarray:
        """(N,) whether the ray hits anything."""
        return self._scene.run(origins, directions, query="OCCLUDED") == 0


class Scene:
    """The static street and, if given, the moving objects, as one."""

    def __init__(self, static: Caster, moving: Mesh | None = None):
        self.casters = [static] if moving is None else [static, Caster(moving)]

    def cast(self, origins: np.ndarray, directions: np.ndarray) -> Hits:
        """Nearest hits of rays: origins (N, 3) or (3,), unit directions (N, 3), metres in the world frame."""
        directions = np.ascontiguousarray(directions, np.float32)
        origins = np.ascontiguousarray(np.broadcast_to(np.asarray(origins, np.float32), directions.shape))
        n = len(directions)
        distance = np.full(n, _NOTHING, np.float32)
        out = Hits(
            np.zeros(n, bool), distance, np.zeros((n, 3), np.float32), np.zeros((n, 2), np.float32),
            np.zeros(n, np.uint16), np.zeros(n, np.uint16), np.zeros(n, np.uint8), np.zeros((n, 3), np.float32),
        )  # fmt: skip
        for caster in self.casters:
            found, mesh = caster.nearest(origins, directions), caster.mesh
            _fill(
                found["primID"], found["tfar"], found["u"], found["v"], found["Ng"], directions,
                mesh.faces, mesh.uv, mesh.label, mesh.instance, mesh.material, mesh.color, *out,
            )  # fmt: skip
        return out

    def blocked(self, origins: np.ndarray, directions: np.ndarray) -> np.ndarray:
        """(N,) whether each ray hits anything: shadow rays."""
        origins, directions = (np.ascontiguousarray(a, np.float32) for a in (origins, directions))
        blocked = self.casters[0].blocked(origins, directions)
        for caster in self.casters[1:]:
            free = np.flatnonzero(~blocked)
            blocked[free] = caster.blocked(origins[free], directions[free])
        return blocked


@numba.njit(cache=True, nogil=True)
def _fill(
    face, t, u, v, cross, directions, faces, face_uv, face_label, face_instance, face_material, face_color,
    hit, distance, normal, uv, label, instance, material, color,
):  # fmt: skip
    """Look up the surface at each hit that is nearer than the one found so far."""
    for n in range(len(face)):
        f = face[n]
        if f < 0 or t[n] >= distance[n]:
            continue
        hit[n], distance[n] = True, t[n]
        facing = cross[n, 0] * directions[n, 0] + cross[n, 1] * directions[n, 1] + cross[n, 2] * directions[n, 2]
        length = np.sqrt(cross[n, 0] ** 2 + cross[n, 1] ** 2 + cross[n, 2] ** 2)
        scale = (-1.0 if facing > 0 else 1.0) / max(length, 1e-12)
        a, b, c = faces[f]
        for k in range(3):
            normal[n, k] = cross[n, k] * scale
            color[n, k] = face_color[f, k]
        for k in range(2):
            uv[n, k] = (1 - u[n] - v[n]) * face_uv[a, k] + u[n] * face_uv[b, k] + v[n] * face_uv[c, k]
        label[n], instance[n], material[n] = face_label[f], face_instance[f], face_material[f]
