# Writes OUTPUT, a header that defines SLUICE_COMMIT as the commit of SOURCE, and touches it only when that changed.
# COMMIT, when given, is taken as it is: a build without the repository (a container's) can pass it in.
if(NOT COMMIT)
  find_program(GIT git)
  if(GIT)
    execute_process(COMMAND ${GIT} -C ${SOURCE} describe --always --dirty --abbrev=12 --exclude=*
                    OUTPUT_VARIABLE COMMIT OUTPUT_STRIP_TRAILING_WHITESPACE ERROR_QUIET)
  endif()
endif()
if(NOT COMMIT)
  set(COMMIT unknown)
endif()
file(CONFIGURE OUTPUT ${OUTPUT} CONTENT "#define SLUICE_COMMIT \"${COMMIT}\"\n" @ONLY)
