# Two images from one file: `--target gateway` (no torch) and `--target worker`. docs/deploy.md says how they are run.
ARG PYTHON_VERSION=3.12.11-slim-bookworm

FROM python:${PYTHON_VERSION} AS build
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
WORKDIR /src
RUN python -m venv /opt/darkroom && /opt/darkroom/bin/pip install "setuptools==81.0.0"
COPY constraints.txt deploy/gateway.txt ./

FROM build AS gateway-packages
RUN /opt/darkroom/bin/pip install --constraint constraints.txt --requirement gateway.txt
COPY . .
RUN /opt/darkroom/bin/pip install --no-deps --no-build-isolation .

FROM build AS worker-packages
# torch alone from there, and what it needs from the usual index, as pinned. The CPU build; for GPUs:
# --build-arg TORCH_INDEX_URL=https://download.pytorch.org/whl/cu130
ARG TORCH_INDEX_URL=https://download.pytorch.org/whl/cpu
RUN /opt/darkroom/bin/pip install --no-deps --constraint constraints.txt --index-url "${TORCH_INDEX_URL}" torch
COPY . .
RUN /opt/darkroom/bin/pip install --constraint constraints.txt --no-build-isolation .

FROM python:${PYTHON_VERSION} AS base
RUN groupadd --gid 10001 darkroom \
    && useradd --uid 10001 --gid darkroom --no-create-home --home-dir /var/lib/darkroom darkroom \
    && install --directory --owner darkroom --group darkroom --mode 0700 /var/lib/darkroom /models
ENV PATH=/opt/darkroom/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    PYTHONDONTWRITEBYTECODE=1 \
    DARKROOM_DATA_DIR=/var/lib/darkroom \
    DARKROOM_MODELS_DIR=/models
WORKDIR /var/lib/darkroom
USER 10001:10001
ENTRYPOINT ["darkroom"]

FROM base AS gateway
COPY --from=gateway-packages /opt/darkroom /opt/darkroom
EXPOSE 8000 9090
HEALTHCHECK --interval=5s --timeout=4s --start-period=30s --retries=3 \
    CMD ["python", "-c", "from urllib.request import urlopen; urlopen('http://127.0.0.1:8000/readyz', timeout=3)"]
CMD ["gateway", "--host", "0.0.0.0", "--port", "8000"]

# The last stage is what a plain `docker build` makes.
FROM base AS worker
COPY --from=worker-packages /opt/darkroom /opt/darkroom
# A worker listens on no port: it ends by itself when its steps stand still, and gateways count those that are alive.
HEALTHCHECK NONE
CMD ["worker"]
