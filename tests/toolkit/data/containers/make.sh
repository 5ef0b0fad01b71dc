#!/bin/sh
# Builds the records in this folder with Debian 12's containerd 1.6.20 (ctr) and dockerd 20.10.24; as root, in an empty folder.
# The daemons' root folders are then /var/lib/containerd and /var/lib/docker (paths in Docker's files are rewritten to it).
set -eu
image=registry.example/shop/web:1.4
containers() { ctr -a "$PWD/c.sock" -n k8s.io "$@"; }
pod() { containers container create --label io.kubernetes.pod.namespace=shop "$@"; }
containers image import --platform linux/amd64 image.tar # an OCI layout of two layers: /bin/su (4755), /bin/app; /etc/app.conf
pod --label io.kubernetes.pod.name=web-7c9d --label io.kubernetes.container.name=web $image web /bin/app --port 8080
pod --label io.kubernetes.pod.name=node-helper-x2 --label io.kubernetes.container.name=helper --privileged \
  --mount type=bind,src=/,dst=/host,options=rbind:rw --net-host --with-ns pid:/proc/1/ns/pid $image helper /bin/chroot /host
pod --label io.kubernetes.pod.name=batch-1 --label io.kubernetes.container.name=batch --cap-add CAP_SYS_ADMIN \
  $image miner /tmp/xmrig -o stratum+tcp://pool.example:3333
for i in $(seq 1 40); do
  containers container create --label io.kubernetes.pod.name="job-$i" --label io.kubernetes.pod.namespace=batch --label io.kubernetes.container.name=job $image "job-$i" /bin/app "$i"
done
for i in $(seq 1 2 30); do containers container rm "job-$i"; done
xz -9ec io.containerd.metadata.v1.bolt/meta.db >meta.db.xz
xz -9ec io.containerd.snapshotter.v1.overlayfs/metadata.db >metadata.db.xz

export DOCKER_HOST="unix://$PWD/d.sock"
docker import rootfs.tar $image # the same files in one layer
docker create --name web $image /bin/app --port 8080
docker create --name helper --privileged -v /:/host --pid host --network host $image /bin/chroot /host
task=com.amazonaws.ecs
docker create --name ecs-batch-3-worker-aa --cap-add SYS_ADMIN --label $task.task-definition-family=batch --label $task.task-definition-version=3 \
  --label $task.task-arn=arn:aws:ecs:eu-central-1:123456789012:task/prod/0f9c2f6a --label $task.container-name=worker \
  $image /tmp/xmrig -o stratum+tcp://pool.example:3333
docker cp added/tmp-x ecs-batch-3-worker-aa:/  # xmrig
tar -C added -c bin root | docker cp - web:/ # another /bin/app, /bin/rootsh (4755), /root/.bash_history
tar -c var/lib/docker | xz -9e >docker.tar.xz # containers/, image/, overlay2/
