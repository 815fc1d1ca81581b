# The extension image (`module`), and an image of PostgreSQL with the module in it (`operand`). docker-bake.hcl says for which
# PostgreSQL; README.md, how to build and pin. All that is in them is what `assemble` makes.
ARG BASE=ghcr.io/cloudnative-pg/postgresql:18-minimal-trixie

FROM $BASE AS build
ARG PG_MAJOR=18
USER 0
RUN apt-get update && apt-get install --yes --no-install-recommends \
  gcc libc6-dev libkrb5-dev libssl-dev make postgresql-server-dev-$PG_MAJOR python3
WORKDIR /source
COPY LICENSE pyproject.toml ./
COPY cnpg/image/assemble cnpg/image/
COPY validator/pgmodule validator/pgmodule/
ARG SOURCE_DATE_EPOCH
RUN cnpg/image/assemble module --pg-config /usr/lib/postgresql/$PG_MAJOR/bin/pg_config --out /module
RUN cnpg/image/assemble operand --pg-config /usr/lib/postgresql/$PG_MAJOR/bin/pg_config --out /operand

FROM scratch AS module
COPY --from=build /module/ /
USER 65532:65532

FROM $BASE AS operand
COPY --from=build /operand/ /
# postgres, in CloudNativePG's images
USER 26
