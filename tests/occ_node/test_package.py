"""The package's face towards ROS 2 tools."""

import os
import xml.etree.ElementTree as ElementTree
from pathlib import Path

import occ_node
from occ_core.rig import rig_presets
from occ_node.dds import LOOPBACK_PROFILE

ROOT = Path(__file__).parents[2]


def test_package_xml_names_this_package_and_version():
    package = ElementTree.parse(ROOT / "package.xml").getroot()
    assert (package.find("name").text, package.find("version").text) == ("occ_node", occ_node.__version__)
    assert package.find("export/build_type").text == "ament_python"


def test_the_workspace_links_the_package():
    link = ROOT / "ros2_ws" / "src" / "occ_node"
    assert link.is_symlink() and not os.path.isabs(os.readlink(link))
    assert (link / "package.xml").samefile(ROOT / "package.xml")


def test_executables_for_ros2_run():
    assert all(os.access(ROOT / "resource" / "lib" / name, os.X_OK) for name in ("occ_node", "play", "engine"))


def test_every_launch_file_and_view_is_installed():
    setup = (ROOT / "setup.py").read_text()
    files = [*(ROOT / "launch").glob("*.launch.py"), *(ROOT / "rviz").glob("*.rviz")]
    assert len(files) == 4
    assert all(f'"{file.parent.name}/{file.name}"' in setup for file in files)


def test_every_configuration_is_installed():
    setup = (ROOT / "setup.py").read_text()
    files = [path for path in (ROOT / "occ_node" / "config").rglob("*") if path.is_file()]
    assert len(files) == 4
    assert all(f'"{path.relative_to(ROOT)}"' in setup for path in files)


def test_presets_of_rigs_are_installed():
    assert '"occ_core": ["rigs/*.yaml"]' in (ROOT / "setup.py").read_text()
    assert all((ROOT / "occ_core" / "rigs" / f"{name}.yaml").is_file() for name in rig_presets()) and rig_presets()


def test_dds_profile_is_well_formed_and_stays_on_loopback():
    text = ElementTree.tostring(ElementTree.parse(LOOPBACK_PROFILE).getroot(), encoding="unicode")
    assert "127.0.0.1" in text and "67108864" in text
