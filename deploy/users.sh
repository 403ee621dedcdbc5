# Sourced by run.sh, and by whatever installs Codo. As root: makes the users that Codo needs and does not find; says nothing when all are there.

# make_command_user: the user that commands run as by default (Codo:RunAs). It owns nothing of Codo's, and nobody logs in as it.
make_command_user() {
  id -u codo-run >/dev/null 2>&1 || useradd --system --create-home --home-dir /var/lib/codo-run --shell /usr/sbin/nologin --comment "Codo's commands" codo-run
}

# make_host_user: the user that the host runs as under deploy/codo.service.
make_host_user() {
  id -u codo >/dev/null 2>&1 || useradd --system --home-dir /var/lib/codo --shell /usr/sbin/nologin --comment "Codo" codo
}
