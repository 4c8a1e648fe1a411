# The command `uniseg` with its open weights, for a CPU with OpenVINO or an NVIDIA GPU; it needs no network. See docs/container.md.
FROM python:3.11-slim AS build
# The build of PyTorch, and the index that has it where that is not the usual one.
ARG TORCH="torch==2.13.0"
ARG PIP_EXTRA_INDEX_URL=""
ARG EXTRAS="openvino,dicom,viewer"
RUN python -m venv /opt/uniseg
RUN /opt/uniseg/bin/pip install --no-cache-dir "${TORCH}"
COPY setup.cfg setup.py pyproject.toml README.md LICENSE /source/
COPY uniseg_nets /source/uniseg_nets
COPY bundles /source/bundles
RUN /opt/uniseg/bin/pip install --no-cache-dir "/source[${EXTRAS}]"
# OpenVINO reports its use to its makers through this package, and does without it.
RUN /opt/uniseg/bin/pip uninstall --yes openvino-telemetry

FROM python:3.11-slim
COPY --from=build /opt/uniseg /opt/uniseg
RUN useradd --uid 1000 --create-home uniseg
# For any user that `docker run --user` names: a name, which MONAI asks for, and a folder for networks converted for OpenVINO.
ENV USER=uniseg XDG_CACHE_HOME=/tmp/cache PATH="/opt/uniseg/bin:${PATH}" PYTHONUNBUFFERED=1
USER uniseg
WORKDIR /tmp
ENTRYPOINT ["uniseg"]
CMD ["--help"]
