#!/bin/sh
# A certificate authority made on the spot, and the certificates of Keycloak and PostgreSQL, unless they are there.
set -eu
cd /certificates
[ ! -e ready ] || exit 0
umask 077
openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout ca.key -out ca.crt \
  -subj "/CN=pgbearer demo authority" -addext "basicConstraints=critical,CA:TRUE"
for name in keycloak postgres; do
  openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 30 -keyout $name.key -out $name.crt \
    -CA ca.crt -CAkey ca.key -subj "/CN=localhost" -addext "subjectAltName=DNS:localhost,IP:127.0.0.1" \
    -addext "basicConstraints=critical,CA:FALSE" -addext "extendedKeyUsage=serverAuth"
done
rm ca.key
chmod 0644 ./*.crt
chown 1000:0 keycloak.key  # the uids of the images
chown 999:999 postgres.key
touch ready
