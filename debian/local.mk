# debian/: the source package; tests/package/build-and-install tries it.
EXTRA_DIST += debian/changelog debian/control debian/copyright debian/rules debian/source/format debian/congvu.logrotate \
	debian/congvu.postinst debian/congvu.prerm debian/congvu.postrm
