#!/bin/sh
# Restart the app on one port after the other: sudo sh rolling.sh 5001 5002
set -eu
for port in "$@"; do
    systemctl restart "websocket@$port"
    # If it doesn't become ready, the script ends here, and the other servers stay as they are.
    curl --silent --show-error --fail --output /dev/null \
        --retry 30 --retry-delay 1 --retry-all-errors "http://127.0.0.1:$port/ready"
    sleep 2 # until the proxy has noticed
done
