"""Imports of results, drawing and scenes are light."""

import subprocess
import sys


def test_structures_drawing_and_scenes_do_not_import_heavy_packages() -> None:
    code = (
        "import splitnest.structures, splitnest.visualize, splitnest.data.scenes, sys\n"
        "from splitnest.structures.class_tables import class_table\n"
        "class_table('imagenet')\n"
        "print(*{'torch', 'torchvision', 'hotcoco', 'matplotlib', 'supervision', 'cv2'} & set(sys.modules))"
    )
    imported = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.split()
    assert not imported
