# Muster as an image: docker build -t muster --build-arg VERSION=v1.2.3 .
#
# Kept minimal, because it is not built where Muster is tested: a test holds its paths,
# flags and versions to the program, no more.
FROM golang:1.26-alpine AS build
RUN apk add --no-cache git
WORKDIR /src
COPY go.mod go.sum ./
RUN go mod download
COPY . .
ARG VERSION=development
RUN CGO_ENABLED=0 go build -trimpath -ldflags "-s -w -X main.version=$VERSION" -o /usr/local/bin/muster ./cmd/muster

FROM alpine:3.22
# Certificates for Mixpanel, and psql for muster psql.
RUN apk add --no-cache ca-certificates postgresql-client && adduser -S -D -H muster
COPY --from=build /usr/local/bin/muster /usr/local/bin/muster
USER muster
EXPOSE 8080
HEALTHCHECK --interval=10s --timeout=3s CMD wget -q -O /dev/null http://127.0.0.1:8080/healthz
ENTRYPOINT ["muster"]
CMD ["serve", "--config", "/etc/muster/muster.yaml", "--listen", "0.0.0.0:8080"]
