# The service, as a user of its own: 26880 is what pgbearer.service_user in containers/postgresql.conf names.
FROM python:3.13-slim
COPY pyproject.toml README.md LICENSE /src/
COPY validator/pgbearer /src/validator/pgbearer
COPY cnpg/base /src/cnpg/base
COPY cnpg/components /src/cnpg/components
RUN pip install --no-cache-dir '/src[serve]' && useradd --uid 26880 --user-group pgbearer
# the module runs as 999 in the image postgres, and reaches the socket through its group
RUN groupadd --gid 999 postgres-server && usermod --append --groups postgres-server pgbearer \
  && install -d -o pgbearer -g postgres-server -m 0750 /run/pgbearer/login \
  && install -d -o pgbearer -g pgbearer -m 0700 /run/pgbearer/admin /var/log/pgbearer /var/lib/pgbearer
USER pgbearer
# -I: no code but what is in the image, whatever the environment says
ENTRYPOINT ["python3", "-I", "/usr/local/bin/pgbearer"]
