# PostgreSQL 18 with pgbearer.so compiled for it.
FROM postgres:18 AS module
RUN apt-get update && apt-get install --yes --no-install-recommends gcc libc6-dev libkrb5-dev libssl-dev make \
  postgresql-server-dev-18
COPY validator/pgmodule /src
RUN mkdir /build && make -C /build -f /src/Makefile PG_CONFIG=/usr/lib/postgresql/18/bin/pg_config

FROM postgres:18
COPY --from=module /build/pgbearer.so /usr/lib/postgresql/18/lib/pgbearer.so
