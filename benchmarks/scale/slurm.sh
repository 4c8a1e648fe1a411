#!/bin/bash
# Starts a Slurm of one machine as root: a controller and two daemons, node1 and node2, under FOLDER.
# Debian: apt-get install slurm-wlm munge. Usage: slurm.sh FOLDER
set -eu
folder=$(realpath "$1")
mkdir -p "$folder/state" "$folder"/spool/node{1,2} /run/munge
chown munge: /run/munge
pgrep -x munged > /dev/null || su -s /bin/sh munge -c /usr/sbin/munged
cat > "$folder/slurm.conf" <<CONF
ClusterName=benchmark
SlurmctldHost=$(hostname)(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool/%n
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd-%n.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd-%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
SlurmdParameters=config_overrides
MpiDefault=none
ReturnToService=2
SlurmdTimeout=30
JobRequeue=1
MinJobAge=43200
JobCompType=jobcomp/filetxt
JobCompLoc=$folder/jobs.log
NodeName=node[1-2] NodeHostname=$(hostname) NodeAddr=127.0.0.1 Port=[17001-17002] CPUs=2 RealMemory=8000 State=UNKNOWN
PartitionName=all Nodes=node[1-2] Default=YES MaxTime=INFINITE State=UP
CONF
mkdir -p /etc/slurm
ln -sfn "$folder/slurm.conf" /etc/slurm/slurm.conf  # Snakemake takes SLURM_CONF out of the environment of its jobs
slurmctld
slurmd -N node1
slurmd -N node2
sleep 5
sinfo
