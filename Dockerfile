# The service alone: no source beside the installed copy, no root.

FROM python:3.11-slim-bookworm AS build
# Where torch comes from, besides PyPI: CPU builds. Empty: whatever pip finds by itself, on PyPI a CUDA build.
ARG TORCH_INDEX=https://download.pytorch.org/whl/cpu
ENV PIP_NO_CACHE_DIR=1 PIP_DISABLE_PIP_VERSION_CHECK=1
RUN python -m venv /opt/kanjo
WORKDIR /build

# The dependencies have a layer of their own: a change of code does not fetch torch again.
COPY pyproject.toml requirements.lock ./
RUN python -c "import tomllib; print(*tomllib.load(open('pyproject.toml', 'rb'))['project']['dependencies'], sep='\n')" > requirements.txt \
    && /opt/kanjo/bin/pip install ${TORCH_INDEX:+--extra-index-url "$TORCH_INDEX"} -c requirements.lock -r requirements.txt

COPY . .
RUN /opt/kanjo/bin/pip install --no-deps .

FROM python:3.11-slim-bookworm
RUN useradd --uid 10001 --user-group --no-create-home --shell /usr/sbin/nologin kanjo \
    && install -d -o kanjo -g kanjo /var/lib/kanjo
COPY --from=build /opt/kanjo /opt/kanjo
ENV PATH=/opt/kanjo/bin:$PATH \
    PYTHONUNBUFFERED=1 \
    KANJO_HOST=0.0.0.0 \
    KANJO_PORT=8000 \
    KANJO_STATE_DIR=/var/lib/kanjo
USER kanjo
WORKDIR /var/lib/kanjo
VOLUME /var/lib/kanjo
EXPOSE 8000
# Alive, not ready: who acts on this ends live calls, which go on without Redis or room for more.
HEALTHCHECK --interval=10s --timeout=5s --start-period=2m --retries=3 \
    CMD ["python", "-c", "import os, urllib.request as web; web.urlopen('http://127.0.0.1:' + os.environ['KANJO_PORT'] + '/healthz', timeout=4)"]
ENTRYPOINT ["kanjo"]
CMD ["serve"]
