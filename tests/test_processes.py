"""How many cores there are."""

import subprocess
import sys


def test_cores_that_a_process_was_told():
    """A limit that joblib knows of counts (it reads the quotas of containers, too); there is always one."""
    script = "import os; os.environ['LOKY_MAX_CPU_COUNT'] = '1'; from hemokit.processes import cores; print(cores())"
    assert subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout == "1\n"
