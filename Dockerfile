# The image of jobnetes: its binary and nothing else, without a shell, as a user
# without rights. The same as that of `make images`, which needs no Docker.
#
#   docker build --build-arg VERSION="$(git describe --tags --always --dirty)" --build-arg REVISION="$(git rev-parse HEAD)" --tag REGISTRY/jobnetes:TAG .
FROM --platform=$BUILDPLATFORM golang:1.26 AS build
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG TARGETOS TARGETARCH VERSION
# The flags of the build by `make images`: the same sources give the same binary.
RUN CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -buildvcs=false -ldflags "-s -w -X main.buildVersion=$VERSION" -o /jobnetes ./cmd/jobnetes

FROM gcr.io/distroless/static-debian12:nonroot
ARG VERSION REVISION
LABEL org.opencontainers.image.title="jobnetes" \
      org.opencontainers.image.version="$VERSION" \
      org.opencontainers.image.revision="$REVISION" \
      org.opencontainers.image.source="https://github.com/jobnetes/jobnetes" \
      org.opencontainers.image.licenses="Apache-2.0"
COPY --from=build /jobnetes /jobnetes
# By number: the kubelet's runAsNonRoot knows no names.
USER 65532:65532
ENTRYPOINT ["/jobnetes"]
