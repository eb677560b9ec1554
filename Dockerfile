# The web app in a container: `docker build -t posegram .`, `docker run --rm -p 8000:8000 posegram`.
# The PyAV wheel holds x264 (GPL): whoever hands this image out hands that out, too.
# Before the build, `make browser` fetches what the live view on the visitor's own device needs.
FROM python:3.12-slim AS build
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY src src
RUN pip wheel --no-cache-dir --wheel-dir /wheels '.[web]'

FROM python:3.12-slim
RUN --mount=type=bind,from=build,source=/wheels,target=/wheels \
    pip install --no-cache-dir --no-index --find-links /wheels 'posegram[web]' \
    && useradd --create-home --uid 10001 posegram \
    && install --directory --owner posegram /data
USER posegram
WORKDIR /data
VOLUME /data
EXPOSE 8000
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=30s \
    CMD ["python", "-c", "import urllib.request as r; r.urlopen('http://127.0.0.1:8000/readyz', timeout=2)"]
CMD ["posegram", "serve", "--public", "--port", "8000", "--folder", "/data"]
