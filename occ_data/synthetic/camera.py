"""The left colour camera: primary rays, sun and shadows, procedural textures."""

import numpy as np

from occ_core.calibration import Calibration
from occ_core.compiled import compiled

from .imaging import KITTI_IMAGING, Imaging, develop
from .light import TILE, Light
from .scene import Scene, rotated
from .shapes import Material

_ASPHALT, _PAVING, _COBBLES, _GRASS, _GRAVEL = map(int, list(Material)[:5])
_PLASTER, _BRICK, _ROOF, _LEAVES, _PAINT = (
    int(m) for m in (Material.PLASTER, Material.BRICK, Material.ROOF, Material.LEAVES, Material.PAINT)
)
_GLASS = int(Material.GLASS)


class Camera:
    """A calibrated camera under a drive's lighting.

    center : (3,) and rays : (H * W, 3) unit, through the pixel centres; both in the LiDAR frame
    """

    def __init__(self, calibration: Calibration, light: Light, imaging: Imaging = KITTI_IMAGING):
        self.size, self.light, self.imaging = calibration.image_size, light, imaging
        self._robot = calibration.T_grid_lidar[:3, :3].astype(np.float32)
        width, height = self.size
        inverse = np.linalg.inv(calibration.P_lidar[:, :3])
        self.center = -inverse @ calibration.P_lidar[:, 3]
        v, u = np.mgrid[:height, :width]
        rays = np.stack([u + 0.5, v + 0.5, np.ones_like(u)], -1).reshape(-1, 3) @ inverse.T
        self.rays = (rays / np.linalg.norm(rays, axis=1, keepdims=True)).astype(np.float32)
        self._to_sun = np.tile(light.sun.astype(np.float32), (len(self.rays), 1))

    def render(
        self, scene: Scene, T_world_lidar: np.ndarray, rng: np.random.Generator
    ) -> tuple[np.ndarray, np.ndarray]:
        """Image (H, W, 3) uint8 RGB and the raw label of every pixel (H, W) uint16, 0 for the sky."""
        (width, height), light = self.size, self.light
        rays = rotated(self.rays, T_world_lidar)
        center = T_world_lidar[:3, :3] @ self.center + T_world_lidar[:3, 3]
        found = scene.cast(center, rays)
        facing, starts = _shadow_rays(
            center.astype(np.float32), rays, found.hit, found.distance, found.normal, found.material, light.sun
        )
        shadow = np.zeros(len(rays), bool)
        shadow[facing] = scene.blocked(starts, self._to_sun[: len(starts)])
        image = np.empty((len(rays), 3), np.float32)
        _shade(
            image, rays, found.hit, found.distance, found.normal, found.uv, found.material, found.color, shadow,
            center, light.sun, light.sun_color, light.ambient, light.sky, light.horizon, light.haze, light.noise,
            light.half, light.marking,
        )  # fmt: skip
        if light.lamps is not None:
            image *= light.lamps.on(self.rays @ self._robot.T, np.where(found.hit, found.distance, np.inf))[:, None]
        image = develop(image.reshape(height, width, 3), light.exposure, self.imaging, rng)
        labels = np.where(found.hit, found.label, 0).astype(np.uint16).reshape(height, width)
        return image, labels


@compiled
def _shadow_rays(center, rays, hit, distance, normal, material, sun):
    """Indices (M,) of the hits that face the sun, and where their rays to it start (M, 3): 2 cm off the surface."""
    offset = np.float32(0.02)
    facing, starts = np.empty(len(rays), np.int64), np.empty_like(rays)
    number = 0
    for n in range(len(rays)):
        if not hit[n]:
            continue
        cosine = normal[n, 0] * sun[0] + normal[n, 1] * sun[1] + normal[n, 2] * sun[2]
        if cosine > 0 or material[n] == _LEAVES:
            facing[number] = n
            for k in range(3):
                place = center[k] + rays[n, k] * distance[n]
                starts[number, k] = place + normal[n, k] * offset + np.float32(sun[k]) * offset
            number += 1
    return facing[:number], starts[:number]


@compiled
def _sample(noise, x, y):
    """Noise at (x, y) in tile cells, interpolated."""
    fx, fy = np.floor(x), np.floor(y)
    i, j = int(fx) % TILE, int(fy) % TILE
    a, b = x - fx, y - fy
    i1, j1 = (i + 1) % TILE, (j + 1) % TILE
    return (1 - a) * ((1 - b) * noise[i, j] + b * noise[i, j1]) + a * ((1 - b) * noise[i1, j] + b * noise[i1, j1])


@compiled
def _marking(s, d, half, kind):
    """Whether the road has white paint at (s, d)."""
    out = abs(d)
    edge = kind != 1 and abs(out - (half - 0.2)) < 0.06
    dashed = kind != 2 and out < 0.06 and (s % 9.0 < 3.0 or kind == 3)
    return edge or dashed


@compiled
def _texture(material, u, v, x, y, z, upright, distance, noise, half, marking):
    """Brightness factor of a surface's texture, and 0 plain, 1 white paint, 2 window, 3 window frame."""
    fade = 1.0 / (1.0 + (distance / 25.0) ** 2)
    if material == _ASPHALT:
        fine = _sample(noise, x * 60, y * 60) * 0.12 * fade
        broad = _sample(noise, u * 1.5, v * 14) * 0.09
        patch = _sample(noise, u * 3 + 300, v * 3 + 100)
        crack = -0.35 * fade if abs(_sample(noise, u * 9 + 77, v * 9)) < 0.035 and patch > 0.5 else 0.0
        factor = 1.0 + fine + broad + crack + (-0.14 if patch > 1.0 else 0.0)
        if abs(v) < half and _marking(u, v, half, marking) and _sample(noise, x * 25, y * 25) > -1.3:
            return factor, 1
        return factor, 0
    if material == _PAVING:
        joint = (u % 0.6 < 0.03 or v % 0.6 < 0.03) and distance < 30
        return 1.0 + 0.07 * _sample(noise, x * 50, y * 50) * fade + 0.08 * _sample(noise, x * 3, y * 3) - (
            0.3 * fade if joint else 0.0
        ), 0
    if material == _COBBLES:
        row = np.floor(v / 0.16)
        joint = (u + 0.09 * row) % 0.22 < 0.025 or v % 0.16 < 0.025
        tone = 0.2 * _sample(noise, np.floor((u + 0.09 * row) / 0.22) * 7.3, row * 5.1)
        return 1.0 + tone * fade + 0.1 * _sample(noise, x * 4, y * 4) - (0.4 * fade if joint else 0.0), 0
    if material == _GRASS:
        return 1.0 + 0.3 * _sample(noise, x * 70, y * 70) * fade + 0.22 * _sample(noise, x * 6, y * 6), 0
    if material == _GRAVEL:
        return 1.0 + 0.22 * _sample(noise, x * 90, y * 90) * fade + 0.12 * _sample(noise, x * 5, y * 5), 0
    if material == _LEAVES:
        return 1.0 + 0.3 * _sample(noise, x * 90 + z * 60, y * 90 - z * 80) * fade, 0
    if material in (_PLASTER, _BRICK):
        if upright and v > 0:
            along, up = u % 3.0, v % 2.9
            if 0.9 < along < 2.1 and 0.95 < up < 2.25:
                frame = along < 0.98 or along > 2.02 or up < 1.03 or up > 2.17 or abs(along - 1.5) < 0.035
                return (
                    (1.0, 3) if frame else (1.0 + 0.5 * _sample(noise, np.floor(u / 3) * 31, np.floor(v / 2.9) * 17), 2)
                )
            if v < 0.5:
                return 0.7, 0
        if material == _BRICK and upright:
            row = np.floor(v / 0.08)
            joint = (u + 0.12 * (row % 2)) % 0.25 < 0.015 or v % 0.08 < 0.012
            return 1.0 + 0.15 * _sample(noise, np.floor((u + 0.12 * row) / 0.25) * 3.7, row * 2.9) - (
                0.0 if not joint else -0.4 * fade
            ), 0
        return 1.0 + 0.06 * _sample(noise, u * 8, v * 8) + 0.05 * _sample(noise, u * 50, v * 50) * fade, 0
    if material == _ROOF:
        joint = v % 0.35 < 0.05 or u % 0.25 < 0.03
        return 1.0 + 0.12 * _sample(noise, u * 12, v * 12) - (0.25 if joint and distance < 60 else 0.0), 0
    return 1.0, 0


@compiled
def _sky(ray, sun, sky, horizon, noise, color):
    """Gradient, clouds, and a glow around the sun."""
    up = max(ray[2], 0.0)
    t = 1.0 - np.exp(-up * 5.0)
    cx, cy = ray[0] / (up + 0.12), ray[1] / (up + 0.12)
    cloud = min(max((_sample(noise, cx * 22, cy * 22) - 0.5) * 0.45, 0.0), 0.75)
    glow = max(ray[0] * sun[0] + ray[1] * sun[1] + ray[2] * sun[2], 0.0) ** 60
    for c in range(3):
        color[c] = (horizon[c] * (1 - t) + sky[c] * t) * (1 - cloud) + 0.92 * cloud + 0.6 * glow


@compiled
def _shade(image, rays, hit, distance, normal, uv, material, color, shadow, center, sun, sun_color, ambient, sky,
           horizon, haze, noise, half, marking):  # fmt: skip
    base, beyond, reflected = np.empty(3), np.empty(3), np.empty(3)
    for n in range(len(rays)):
        ray = rays[n]
        if not hit[n]:
            _sky(ray, sun, sky, horizon, noise, beyond)
            image[n, 0], image[n, 1], image[n, 2] = beyond[0], beyond[1], beyond[2]
            continue
        t, kind = distance[n], material[n]
        x, y, z = center[0] + ray[0] * t, center[1] + ray[1] * t, center[2] + ray[2] * t
        factor, mark = _texture(kind, uv[n, 0], uv[n, 1], x, y, z, abs(normal[n, 2]) < 0.1, t, noise, half, marking)
        gloss = 0.25 if kind == _PAINT else (0.5 if kind == _GLASS or mark == 2 else 0.0)
        for c in range(3):
            base[c] = color[n, c] * factor
            if mark == 1:
                base[c] = 0.72 * factor
            elif mark == 2:
                base[c] = 0.05 * factor
            elif mark == 3:
                base[c] = 0.75
        cosine = normal[n, 0] * sun[0] + normal[n, 1] * sun[1] + normal[n, 2] * sun[2]
        if kind == _LEAVES:
            cosine = 0.35 + 0.5 * abs(cosine)
        direct = 0.0 if shadow[n] else max(cosine, 0.0)
        open_sky = 0.6 + 0.4 * normal[n, 2]
        fog = 1.0 - np.exp(-haze * t)
        along = ray[0] * normal[n, 0] + ray[1] * normal[n, 1] + ray[2] * normal[n, 2]
        for c in range(3):
            reflected[c] = ray[c] - 2 * along * normal[n, c]
        if gloss > 0:
            fresnel = gloss * (0.25 + 0.75 * (1 + along) ** 3)
            shine = max(reflected[0] * sun[0] + reflected[1] * sun[1] + reflected[2] * sun[2], 0.0) ** 80
            shine = 0.0 if shadow[n] else 1.5 * shine
            # Windows and bonnets reflect the sky above and the dark street below.
            sky_share = min(max(reflected[2] * 3 + 0.3, 0.0), 1.0)
        for c in range(3):
            value = base[c] * (sun_color[c] * direct + ambient[c] * open_sky)
            if gloss > 0:
                surroundings = horizon[c] * sky_share * 0.8 + 0.06 * (1 - sky_share)
                value = value * (1 - fresnel) + fresnel * surroundings + gloss * shine
            image[n, c] = value * (1 - fog) + horizon[c] * 0.85 * fog
