# The real one packs what was installed, and hands the metadata on as unquoted arguments: a value that falls
# into several (by a semicolon) loses its tail there. Here they are written down for the test to read.
foreach(name HOMEPAGE CATEGORY CONTRIBUTORS DESCRIPTION ICONURL SCREENSHOTURLS DEPENDS)
  set(parts ${EXTENSION_${name}})
  list(LENGTH parts count)
  if(NOT count EQUAL 1)
    message(FATAL_ERROR "EXTENSION_${name} is ${count} values, not one")
  endif()
endforeach()
file(WRITE "${CMAKE_BINARY_DIR}/metadata.txt" "${EXTENSION_NAME}\n${EXTENSION_DESCRIPTION}\n${EXTENSION_DEPENDS}\n")
