# Writes OUTPUT, a header that defines kSchema as the bytes of INPUT.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "'\\\\x\\1'," bytes "${bytes}")
file(WRITE ${OUTPUT} "inline constexpr char kSchema[] = {${bytes}};\n")
