# The service. It runs as any uid, with a root that is read-only. All that lies over its base is what `assemble` makes.
ARG BASE=debian:trixie-slim

FROM $BASE AS base
# nobody needs to become somebody else in it
RUN apt-get update && apt-get install --yes --no-install-recommends ca-certificates python3 \
  && find / -xdev -type f -perm /6000 -exec chmod a-s {} + \
  && rm -rf /var/lib/apt/lists/* /var/log/apt /var/log/*.log /var/cache/ldconfig/aux-cache

FROM base AS build
RUN apt-get update && apt-get install --yes --no-install-recommends python3-pip
WORKDIR /source
COPY LICENSE README.md pyproject.toml ./
COPY requirements/build.txt requirements/service.txt requirements/
COPY cnpg/base cnpg/base/
COPY cnpg/components cnpg/components/
COPY cnpg/image/assemble cnpg/image/
COPY validator/pgbearer validator/pgbearer/
ARG SOURCE_DATE_EPOCH
# pip.conf, if it is given, says where packages are; it stays out of the image
RUN --mount=type=secret,id=pip.conf,target=/etc/pip.conf cnpg/image/assemble service --out /service

FROM base AS service
COPY --from=build /service/ /
USER 65532:65532
ENTRYPOINT ["pgbearer"]
CMD ["serve", "-c", "/etc/pgbearer/config/pgbearer.yaml"]
