# syntax=docker/dockerfile:1

# docker build -t doorhook --build-arg VERSION=$(git describe --tags --always) .

FROM --platform=$BUILDPLATFORM golang:1.26-bookworm AS build
WORKDIR /src

COPY go.mod go.sum ./
RUN --mount=type=cache,target=/go/pkg/mod go mod download

COPY . .
ARG VERSION=dev
ARG TARGETOS TARGETARCH
RUN --mount=type=cache,target=/go/pkg/mod --mount=type=cache,target=/root/.cache/go-build \
    CGO_ENABLED=0 GOOS=$TARGETOS GOARCH=$TARGETARCH \
    go build -trimpath -pgo=cmd/doorhook/release.pgo -ldflags "-s -w -X main.version=$VERSION" -o /out/doorhook ./cmd/doorhook \
    && mkdir /out/rules && cp rules/*.yaml /out/rules/

# distroless/static has CA certificates and the user nonroot (65532), no shell
# and no package manager. The time zones are in the binary.
FROM gcr.io/distroless/static-debian12:nonroot
COPY --from=build /out/doorhook /doorhook

# The starter rules, so that the image says what it wants when it is tried. Mount
# your own over them.
COPY --from=build /out/rules/ /etc/doorhook/rules/

# A listener that is not loopback needs DOORHOOK_ADMIN_TOKEN: without one,
# doorhook refuses to start.
ENV DOORHOOK_RULES=/etc/doorhook/rules \
    DOORHOOK_LISTEN=0.0.0.0:8080
EXPOSE 8080

# No HEALTHCHECK: it would need a program in the image to ask with. Let whatever
# runs the container ask GET /livez (is it up) and GET /readyz (may it have traffic).
ENTRYPOINT ["/doorhook"]
CMD ["serve"]
