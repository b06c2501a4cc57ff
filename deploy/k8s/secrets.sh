#!/bin/sh
# Prints the Secrets that deploy/k8s names. What they hold is made once and kept in FOLDER, which nobody else may read:
#   deploy/k8s/secrets.sh FOLDER | kubectl apply --filename -
# Each folder in FOLDER/told becomes one, also those that a person adds (README.md).
set -eu
folder=${1:?which folder are secrets kept in: deploy/k8s/secrets.sh FOLDER}
told=$folder/told
namespace=ordermill
umask 077
mkdir -p "$told"
chmod 700 "$told" # a person may have made it, for what they add

# KEDA reads a service's address of the broker, too, from its own namespace: so they are whole names.
ORDERMILL_HOME=$folder/home ${ORDERMILL:-.venv/bin/ordermill} secrets --into "$told" \
    --postgres "postgres-rw.$namespace.svc:5432" --rabbitmq "rabbitmq.$namespace.svc:5672"
cp "$folder/home/secrets.json" "$told/steps/secrets.json"
rm -f "$told/rabbitmq/erlang.cookie" # RabbitMQ's operator makes its own, of 192 bits of the system's random numbers

# The operators want their servers' passwords under names of their own.
mkdir -p "$told/rabbitmq_administrator"
password=$(sed 's#^amqp://ordermill:\([^@]*\)@.*#\1#' "$told/steps/ORDERMILL_BROKER_URL")
printf ordermill >"$told/rabbitmq_administrator/username"
printf %s "$password" >"$told/rabbitmq_administrator/password"
printf 'default_user = ordermill\ndefault_pass = %s\n' "$password" >"$told/rabbitmq_administrator/default_user.conf"

printed() {
    kubectl create secret generic "$@" --namespace "$namespace" --dry-run=client --output yaml
    echo ---
}
printed postgres-owner --type kubernetes.io/basic-auth \
    --from-literal username=ordermill --from-file "password=$told/postgres/POSTGRES_PASSWORD"
for one in "$told"/*/; do
    case $one in
    */postgres/) ;;
    *) printed "$(basename "$one" | tr _ -)" --from-file "$one" ;;
    esac
done
