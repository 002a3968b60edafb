# The service on a graphics card, with the bundled model inside. From the repository's root:
#   docker build -f recipes/containers/cuda.Dockerfile -t motionmillion:cuda .
#   docker run --gpus all -p 127.0.0.1:8000:8000 motionmillion:cuda
# The wheels of torch bring CUDA; the host brings its driver and the NVIDIA container toolkit.
FROM python:3.11-slim-bookworm AS build
WORKDIR /source
COPY . .
RUN python -m venv /venv && \
    /venv/bin/pip install --no-cache-dir --constraint constraints.txt ".[serve]"

FROM python:3.11-slim-bookworm
RUN useradd --system --uid 10001 --no-create-home --home-dir /tmp --shell /usr/sbin/nologin motion
COPY --from=build /venv /venv
ENV PATH=/venv/bin:$PATH PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1 HOME=/tmp \
    NVIDIA_VISIBLE_DEVICES=all NVIDIA_DRIVER_CAPABILITIES=compute,utility
WORKDIR /tmp
USER 10001
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=15s --timeout=5s --start-period=300s --retries=3 \
    CMD ["python", "-c", "import urllib.request as web; web.urlopen('http://127.0.0.1:8000/readyz', timeout=4)"]
ENTRYPOINT ["motionmillion", "serve", "--host", "0.0.0.0", "--device", "cuda"]
CMD ["--model", "mini"]
