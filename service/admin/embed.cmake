# Writes OUTPUT, a header that defines kDashboardHtml as the bytes of INPUT.
file(READ ${INPUT} bytes HEX)
string(REGEX REPLACE "([0-9a-f][0-9a-f])" "0x\\1," bytes "${bytes}")
file(WRITE ${OUTPUT} "inline constexpr unsigned char kDashboardHtml[] = {${bytes}};\n")
