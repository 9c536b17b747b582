"""`make bench`: every benchmark, one after another, each as its own command says."""

import subprocess
import sys

BENCHMARKS = ("gateway", "ledger", "overhead", "images", "packed", "scheduling", "short_job", "tail")

if __name__ == "__main__":
    for name in BENCHMARKS:
        subprocess.run([sys.executable, "-m", f"tests.benchmarks.bench_{name}"], check=True)
