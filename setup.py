"""The ament_python face of the package; the metadata is pyproject.toml's."""

from pathlib import Path

from setuptools import Distribution, find_packages, setup

SHARE = "share/occ_node"
engines = [
    (f"{SHARE}/{folder}", [str(path) for path in sorted(folder.iterdir()) if path.is_file() and path.suffix != ".plan"])
    for folder in sorted(Path("engines").glob("*"))
    if folder.is_dir()
]


class ColconDistribution(Distribution):
    """colcon reads the distribution's `repr` back, which fails at the object that `requires-python` becomes."""

    def parse_config_files(self, *args, **kwargs):
        super().parse_config_files(*args, **kwargs)
        for holder in (self, self.metadata):
            if getattr(holder, "python_requires", None):
                holder.python_requires = str(holder.python_requires)


setup(
    distclass=ColconDistribution,
    # Named here: the workspace's link to this folder must not be walked into.
    packages=find_packages(include=["occ_*", "export*"]),
    package_data={
        "occ_core": ["rigs/*.yaml"],
        "occ_node": ["config/*", "config/nav2/*"],
        "occ_data": ["pseudo_labels/*.yaml", "pseudo_labels/tables/*.yaml"],
        "occ_models": ["*/configs/*.yaml", "*/recipes/*.yaml"],
    },
    # Not in pyproject.toml, which `colcon build --symlink-install` leaves behind.
    entry_points={
        "console_scripts": [
            "occ-node = occ_cli.node:main",
            "occ-data = occ_cli.data:main",
            "occ-train = occ_cli.train:main",
        ]
    },
    data_files=[
        ("share/ament_index/resource_index/packages", ["resource/occ_node"]),
        (SHARE, ["package.xml"]),
        (f"{SHARE}/launch", ["launch/monoocc.launch.py", "launch/occle.launch.py"]),
        (f"{SHARE}/rviz", ["rviz/monoocc.rviz", "rviz/occle.rviz"]),
        (f"{SHARE}/config", ["occ_node/config/fastdds_loopback.xml", "occ_node/config/occ_node.yaml"]),
        (
            f"{SHARE}/config/nav2",
            ["occ_node/config/nav2/local_costmap.yaml", "occ_node/config/nav2/collision_monitor.yaml"],
        ),
        # pip leaves setup.cfg's install_scripts aside, and `ros2 run` looks here.
        ("lib/occ_node", ["resource/lib/occ_node", "resource/lib/play", "resource/lib/engine"]),
        *engines,
    ],
)
