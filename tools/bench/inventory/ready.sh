#!/bin/sh
# A script inventory with no work to do: what it prints was made before. It is asked with --list only, thanks to _meta.
exec cat "$BENCH_READY_HOSTS"
