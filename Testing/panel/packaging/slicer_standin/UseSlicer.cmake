# The macros that an extension of scripted modules calls.
set(EXTENSION_NAME "${PROJECT_NAME}")
option(BUILD_TESTING "Build the testing tree" ON)
enable_testing()

# Copies and byte-compiles what is listed into the build tree, and installs that whole folder.
function(slicerMacroBuildScriptedModule)
  cmake_parse_arguments(module "WITH_GENERIC_TESTS;WITH_SUBDIR;VERBOSE" "NAME" "SCRIPTS;RESOURCES" ${ARGN})
  if(module_UNPARSED_ARGUMENTS)
    message(FATAL_ERROR "unknown keywords: ${module_UNPARSED_ARGUMENTS}")
  endif()
  set(destination "${CMAKE_BINARY_DIR}/${Slicer_QTSCRIPTEDMODULES_LIB_DIR}")
  set(copies)
  foreach(file IN LISTS module_SCRIPTS module_RESOURCES)
    if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${file}")
      message(FATAL_ERROR "nonexistent file '${file}'")
    endif()
    add_custom_command(OUTPUT "${destination}/${file}"
      DEPENDS "${CMAKE_CURRENT_SOURCE_DIR}/${file}"
      COMMAND ${CMAKE_COMMAND} -E copy "${CMAKE_CURRENT_SOURCE_DIR}/${file}" "${destination}/${file}"
      VERBATIM)
    list(APPEND copies "${destination}/${file}")
  endforeach()
  add_custom_target(${module_NAME} ALL DEPENDS ${copies}
    COMMAND "${PYTHON_EXECUTABLE}" -m compileall -q "${destination}" VERBATIM)
  install(DIRECTORY "${destination}/" DESTINATION "${Slicer_INSTALL_QTSCRIPTEDMODULES_LIB_DIR}"
    COMPONENT RuntimeLibraries)
  if(BUILD_TESTING AND module_WITH_GENERIC_TESTS)
    add_test(NAME "py_nomainwindow_qSlicer${module_NAME}ModuleGenericTest" COMMAND Slicer --no-main-window)
  endif()
endfunction()

# Names the tests as Slicer does; without a Slicer they cannot be run, only listed.
function(slicer_add_python_unittest)
  cmake_parse_arguments(test "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS" ${ARGN})
  _add_slicer_test("${test_TESTNAME_PREFIX}" "${test_SCRIPT}" "${test_UNPARSED_ARGUMENTS}")
endfunction()

function(slicer_add_python_test)
  cmake_parse_arguments(test "" "TESTNAME_PREFIX;SCRIPT" "SLICER_ARGS;SCRIPT_ARGS" ${ARGN})
  _add_slicer_test("${test_TESTNAME_PREFIX}" "${test_SCRIPT}" "${test_UNPARSED_ARGUMENTS}")
endfunction()

function(_add_slicer_test prefix script unparsed)
  if(unparsed)
    message(FATAL_ERROR "unknown keywords: ${unparsed}")
  endif()
  if(NOT EXISTS "${CMAKE_CURRENT_SOURCE_DIR}/${script}")
    message(FATAL_ERROR "no test script '${script}'")
  endif()
  get_filename_component(name "${script}" NAME_WE)
  add_test(NAME "py_${prefix}${name}" COMMAND Slicer --testing "${CMAKE_CURRENT_SOURCE_DIR}/${script}")
endfunction()
