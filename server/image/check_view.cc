// SPDX-License-Identifier: Apache-2.0
#include "server/image/check_view.h"

namespace davit::server {

davit::v1::CheckFinding ToMessage(const storage::CheckFinding& finding) {
  davit::v1::CheckFinding message;
  message.set_object(finding.object);
  message.set_text(finding.text);
  message.set_remedy(finding.remedy);
  message.set_repaired(finding.repaired);
  return message;
}

davit::v1::CheckReport ToMessage(const storage::CheckReport& report) {
  davit::v1::CheckReport message;
  message.set_layers(report.layers);
  message.set_layers_by_content(report.layers_by_content);
  message.set_bytes(report.bytes);
  message.set_images(report.images);
  message.set_containers(report.containers);
  message.set_findings(report.findings);
  message.set_repaired(report.repaired);
  return message;
}

}  // namespace davit::server
