// SPDX-License-Identifier: Apache-2.0
#include "base/project_quota.h"

#include <fcntl.h>
#include <linux/dqblk_xfs.h>
#include <linux/fs.h>
#include <linux/quota.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "base/fd.h"
#include "base/file.h"
#include "base/status.h"

namespace davit {
namespace {

constexpr uint64_t kBasicBlock = 512;  // unit of struct fs_disk_quota

// Quota calls that name the file system by an open directory: Linux 5.14. There is no wrapper.
int QuotaCtl(int fd, unsigned int command, uint32_t id, void* address) {
#ifdef SYS_quotactl_fd
  return static_cast<int>(syscall(SYS_quotactl_fd, fd, command, id, address));
#else
  return static_cast<int>(syscall(443, fd, command, id, address));
#endif
}

constexpr unsigned int ProjectCommand(unsigned int command) {
  return QCMD(command, PRJQUOTA);
}

absl::StatusOr<UniqueFd> OpenDir(const std::string& directory) {
  return davit::Open(directory, O_RDONLY | O_DIRECTORY);
}

absl::StatusOr<fsxattr> GetAttributes(int fd, const std::string& directory) {
  fsxattr attributes = {};
  if (ioctl(fd, FS_IOC_FSGETXATTR, &attributes) != 0) {
    return errno == ENOTTY || errno == EOPNOTSUPP
               ? Unimplemented("{}: the file system has no project IDs", directory)
               : ErrnoStatus(errno, "read the project ID of " + directory);
  }
  return attributes;
}

}  // namespace

absl::StatusOr<ProjectQuota> ProjectQuota::Open(const std::string& directory) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDir(directory));
  RETURN_IF_ERROR(GetAttributes(fd.get(), directory).status());
  // XFS and ext4 both answer the XFS form of the question.
  fs_quota_statv state = {};
  state.qs_version = FS_QSTATV_VERSION1;
  if (QuotaCtl(fd.get(), ProjectCommand(Q_XGETQSTATV), 0, &state) != 0) {
    return Unimplemented(
        "{} is on a file system without project quotas ({}); make it ext4 with `tune2fs -O "
        "quota,project` and mount it with prjquota, or XFS and mount it with pquota",
        directory, ErrnoText(errno));
  }
  constexpr unsigned int kNeeded = FS_QUOTA_PDQ_ACCT | FS_QUOTA_PDQ_ENFD;
  if ((state.qs_flags & kNeeded) != kNeeded) {
    return Unimplemented(
        "project quotas are off on the file system of {}; mount it with prjquota (ext4) or pquota "
        "(XFS)",
        directory);
  }
  return ProjectQuota(directory);
}

absl::Status ProjectQuota::SetProject(const std::string& directory, uint32_t project_id) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDir(directory));
  ASSIGN_OR_RETURN(fsxattr attributes, GetAttributes(fd.get(), directory));
  attributes.fsx_projid = project_id;
  attributes.fsx_xflags |= FS_XFLAG_PROJINHERIT;
  if (ioctl(fd.get(), FS_IOC_FSSETXATTR, &attributes) != 0) {
    return ErrnoStatus(errno, fmt::format("give {} the project ID {}", directory, project_id));
  }
  return absl::OkStatus();
}

absl::StatusOr<uint32_t> ProjectQuota::GetProject(const std::string& directory) {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDir(directory));
  ASSIGN_OR_RETURN(const fsxattr attributes, GetAttributes(fd.get(), directory));
  return attributes.fsx_projid;
}

absl::Status ProjectQuota::SetLimit(uint32_t project_id, uint64_t bytes) const {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDir(directory_));
  fs_disk_quota quota = {};
  quota.d_version = FS_DQUOT_VERSION;
  quota.d_flags = FS_PROJ_QUOTA;
  quota.d_id = project_id;
  quota.d_fieldmask = FS_DQ_BHARD | FS_DQ_BSOFT;
  quota.d_blk_hardlimit = (bytes + kBasicBlock - 1) / kBasicBlock;
  quota.d_blk_softlimit = 0;
  if (QuotaCtl(fd.get(), ProjectCommand(Q_XSETQLIM), project_id, &quota) != 0) {
    return ErrnoStatus(errno, fmt::format("limit project {} on the file system of {} to {} bytes",
                                          project_id, directory_, bytes));
  }
  return absl::OkStatus();
}

absl::StatusOr<ProjectUsage> ProjectQuota::Usage(uint32_t project_id) const {
  ASSIGN_OR_RETURN(const UniqueFd fd, OpenDir(directory_));
  fs_disk_quota quota = {};
  if (QuotaCtl(fd.get(), ProjectCommand(Q_XGETQUOTA), project_id, &quota) != 0) {
    if (errno == ENOENT || errno == ESRCH) {
      return ProjectUsage{};  // nothing was charged yet
    }
    return ErrnoStatus(errno, fmt::format("read the quota of project {}", project_id));
  }
  return ProjectUsage{.bytes = quota.d_bcount * kBasicBlock,
                      .inodes = quota.d_icount,
                      .byte_limit = quota.d_blk_hardlimit * kBasicBlock};
}

}  // namespace davit
