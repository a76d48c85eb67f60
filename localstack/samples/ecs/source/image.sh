# Makes the image and pushes it, if there is a registry.
set -eu
case "${AWS_ENDPOINT_URL:-}" in
http://127.0.0.1:*)
  echo "an emulator has no registry: $IMAGE is only named"
  exit
  ;;
esac
aws ecr get-login-password | docker login --username AWS --password-stdin "${REPOSITORY%/*}"
docker build --tag "$IMAGE" .
docker push "$IMAGE"
