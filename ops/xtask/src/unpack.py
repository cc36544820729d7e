"""Unpacks the CPU part of the wheels in one folder into another, and lists what it wrote."""

import pathlib
import re
import sys
import zipfile

KEPT = re.compile(
    r"torch/include/"
    r"|torch/lib/(libtorch|libtorch_cpu|libc10)\.so$"
    r"|torch/lib/libgomp"
    r"|nvidia/cu13/lib/lib(cudart|cupti)\.so\.13$"
    r"|[^/]+\.dist-info/(.*/)?(licen[cs]e|notice)",
    re.IGNORECASE,
)

wheels, target = map(pathlib.Path, sys.argv[1:])
manifest = []
for wheel in sorted(wheels.glob("*.whl")):
    with zipfile.ZipFile(wheel) as archive:
        for member in archive.infolist():
            if KEPT.match(member.filename) and not member.is_dir():
                archive.extract(member, target)
                manifest.append(f"{member.file_size} {member.filename}\n")

# torch-sys compares it with the version that it was written for.
(torch,) = wheels.glob("torch-*.whl")
version = torch.name.split("-")[1]
(target / "torch" / "build-version").write_text(version)
manifest.append(f"{len(version)} torch/build-version\n")
(target / "manifest").write_text("".join(manifest))
