# The image of Sluice: built in one Debian, run in another that has neither a compiler nor the sources.
FROM debian:bookworm-slim AS build
WORKDIR /src
COPY dev ./
RUN ./dev install build
COPY CMakeLists.txt CMakePresets.json ./
COPY cmake cmake
COPY runtime runtime
COPY config config
COPY service service
ARG COMMIT=
RUN SLUICE_COMMIT=$COMMIT ./dev build && strip --strip-debug -o sluice build/release/sluice

FROM debian:bookworm-slim
RUN apt-get update \
 && apt-get install -y --no-install-recommends ca-certificates libboost-context1.81.0 libre2-9 libspdlog1.10 libssl3 \
 && rm -rf /var/lib/apt/lists/*
COPY --from=build /src/sluice /usr/local/bin/sluice
COPY docker/sluice.json /etc/sluice/sluice.json
# A number, so that an orchestrator can see that it is not root.
USER 10001:10001
EXPOSE 8080
STOPSIGNAL SIGTERM
HEALTHCHECK --interval=10s --timeout=3s --start-period=10s CMD ["sluice", "healthcheck"]
ENTRYPOINT ["sluice"]
CMD ["run"]
