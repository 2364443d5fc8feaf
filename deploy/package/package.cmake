# `cmake --install BUILD [--component server|console]`, and Debian packages of the two by
# `cpack --config BUILD/CPackConfig.cmake`. See docs/packages.md.
include(GNUInstallDirs)
set(package_dir ${CMAKE_CURRENT_LIST_DIR})
set(CMAKE_SKIP_INSTALL_ALL_DEPENDENCY ON)  # What is installed is built by name: tests are not.

# Programs, and the folder of one package's documents.
install(TARGETS lnb-tokenizer lnb-model lnb-gateway lnb-probe lnb-load lnb-bench
  RUNTIME COMPONENT server)
install(TARGETS lnb-console RUNTIME COMPONENT console)
foreach(component server console)
  set(doc_dir ${CMAKE_INSTALL_DATAROOTDIR}/doc/lnb-${component})
  install(FILES ${package_dir}/copyright DESTINATION ${doc_dir} COMPONENT ${component})
  install(FILES ${PROJECT_SOURCE_DIR}/docs/tls.md DESTINATION ${doc_dir} COMPONENT ${component})
  install(CODE "
    set(file \"\$ENV{DESTDIR}\${CMAKE_INSTALL_PREFIX}/${doc_dir}/changelog.gz\")
    execute_process(COMMAND gzip -9nc ${package_dir}/changelog OUTPUT_FILE \"\${file}\"
      COMMAND_ERROR_IS_FATAL ANY)" COMPONENT ${component})
endforeach()

set(doc_dir ${CMAKE_INSTALL_DATAROOTDIR}/doc/lnb-server)
install(FILES ${PROJECT_SOURCE_DIR}/SECURITY.md DESTINATION ${doc_dir} COMPONENT server)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/docs/ DESTINATION ${doc_dir} COMPONENT server
  FILES_MATCHING PATTERN "*.md")
set(data_dir ${CMAKE_INSTALL_DATAROOTDIR}/lnb)
install(DIRECTORY ${PROJECT_SOURCE_DIR}/proto/llama/v1 DESTINATION ${data_dir}/proto/llama
  COMPONENT server FILES_MATCHING PATTERN "*.proto")
foreach(file consolidated.00.pth params.json tokenizer.model prompts)
  install(FILES ${PROJECT_SOURCE_DIR}/deploy/demo_model/${file}
    DESTINATION ${data_dir}/demo_model COMPONENT server)
endforeach()

# Units and flag files hold paths below the prefix, which is known when installing only.
install(CODE "
  set(package_dir \"${package_dir}\")
  set(bin_dir \"\${CMAKE_INSTALL_PREFIX}/${CMAKE_INSTALL_BINDIR}\")
  set(data_dir \"\${CMAKE_INSTALL_PREFIX}/${data_dir}\")
  set(doc_dir \"\${CMAKE_INSTALL_PREFIX}/${doc_dir}\")" COMPONENT server)
install(SCRIPT ${package_dir}/install_services.cmake COMPONENT server)

set(CPACK_GENERATOR DEB)
set(CPACK_PACKAGE_NAME lnb)
set(CPACK_PACKAGE_VENDOR "Llama Nuts and Bolts")
set(CPACK_PACKAGE_CONTACT "Llama Nuts and Bolts <lnb@invalid>")
set(CPACK_PACKAGE_VERSION ${PROJECT_VERSION})
set(CPACK_COMPONENTS_ALL server console)
set(CPACK_SET_DESTDIR ON)  # /etc lies outside of the prefix.
set(CPACK_INSTALL_PREFIX /usr)
set(CPACK_INSTALL_DEFAULT_DIRECTORY_PERMISSIONS
  OWNER_READ OWNER_WRITE OWNER_EXECUTE GROUP_READ GROUP_EXECUTE WORLD_READ WORLD_EXECUTE)
set(CPACK_STRIP_FILES ON)
set(CPACK_DEB_COMPONENT_INSTALL ON)
set(CPACK_DEBIAN_FILE_NAME DEB-DEFAULT)
set(CPACK_DEBIAN_COMPRESSION_TYPE xz)
set(CPACK_DEBIAN_PACKAGE_SHLIBDEPS ON)
set(CPACK_DEBIAN_PACKAGE_CONTROL_STRICT_PERMISSION ON)
set(CPACK_DEBIAN_SERVER_PACKAGE_NAME lnb-server)
set(CPACK_DEBIAN_SERVER_PACKAGE_SECTION net)
set(CPACK_DEBIAN_SERVER_PACKAGE_DEPENDS adduser)
set(CPACK_DEBIAN_SERVER_PACKAGE_SUGGESTS lnb-console)
set(CPACK_DEBIAN_SERVER_PACKAGE_CONTROL_EXTRA ${package_dir}/server/postinst
  ${package_dir}/server/prerm ${package_dir}/server/postrm ${package_dir}/server/conffiles)
set(CPACK_COMPONENT_SERVER_DESCRIPTION "Llama 2 inference on CPUs as gRPC services
Three services: a tokenizer, a model and the gateway before them, which serve
Llama 2 checkpoints as Meta ships them on CPUs; a health probe, a load
generator and a benchmark; and a small demonstration model.")
set(CPACK_DEBIAN_CONSOLE_PACKAGE_NAME lnb-console)
set(CPACK_DEBIAN_CONSOLE_PACKAGE_SECTION net)
set(CPACK_DEBIAN_CONSOLE_PACKAGE_SUGGESTS lnb-server)
set(CPACK_COMPONENT_CONSOLE_DESCRIPTION "console for Llama 2 services over gRPC
Talks to the gateway of lnb-server: a menu that shows how text becomes tokens
and tokens text, or one reply on standard output.")
include(CPack)
