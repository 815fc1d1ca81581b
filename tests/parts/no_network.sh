#!/bin/sh
# Run a command where there is no network, not even a loopback, as far as this machine lets us: unit tests must not need one.

for cut in "unshare --net" "unshare --user --map-current-user --net"; do
  if $cut true 2>/dev/null; then
    exec $cut "$@"
  fi
done
echo ">> this machine cannot cut the network off (unshare); running with it" >&2
exec "$@"
